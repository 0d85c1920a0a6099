"""Words: what travels between rooms, as frozen records; everything else imports these."""

"""One law for many curves: groups that borrow what they share, floors and amplitudes their own."""

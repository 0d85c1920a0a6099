BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0013');
CREATE TABLE api_tokens (
	token_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	token_hash TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	created_utc TEXT NOT NULL, 
	revoked_utc TEXT, 
	CONSTRAINT pk_api_tokens PRIMARY KEY (token_id), 
	CONSTRAINT uq_api_tokens_name UNIQUE (name), 
	CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash)
)
 STRICT

;
CREATE TABLE backbones (
	backbone_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	config_json TEXT NOT NULL, 
	added_utc TEXT NOT NULL, 
	CONSTRAINT pk_backbones PRIMARY KEY (backbone_id), 
	CONSTRAINT uq_backbones_name UNIQUE (name)
)
 STRICT

;
CREATE TABLE devices (
	device_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	model TEXT NOT NULL, 
	n_threads INTEGER NOT NULL, 
	memory_bytes INTEGER, 
	driver TEXT, 
	details_json TEXT, 
	CONSTRAINT pk_devices PRIMARY KEY (device_id), 
	CONSTRAINT uq_devices_name UNIQUE (name)
)
 STRICT

;
INSERT INTO "devices" VALUES(1,'cpu-2','cpu','some CPU',2,NULL,NULL,'{"governor": "?"}');
CREATE TABLE engine_evaluations (
	engine_evaluation_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	engine TEXT NOT NULL, 
	engine_version TEXT NOT NULL, 
	precision TEXT NOT NULL, 
	device_id INTEGER NOT NULL, 
	n_threads INTEGER NOT NULL, 
	split TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	error REAL NOT NULL CONSTRAINT ck_engine_evaluations_error CHECK (error >= 0.0 AND error <= 9e+300), 
	std_error REAL CONSTRAINT ck_engine_evaluations_std_error CHECK (std_error >= 0.0 AND std_error <= 9e+300), 
	n_units INTEGER, 
	n_errors INTEGER, 
	n_utterances INTEGER NOT NULL, 
	n_broken INTEGER NOT NULL, 
	n_equal_texts INTEGER, 
	error_difference REAL CONSTRAINT ck_engine_evaluations_error_difference CHECK (error_difference >= -1000000.0 AND error_difference <= 9e+300), 
	error_difference_std_error REAL CONSTRAINT ck_engine_evaluations_error_difference_std_error CHECK (error_difference_std_error >= 0.0 AND error_difference_std_error <= 9e+300), 
	mean_output_tokens REAL CONSTRAINT ck_engine_evaluations_mean_output_tokens CHECK (mean_output_tokens >= 0.0 AND mean_output_tokens <= 9e+300), 
	size_bytes INTEGER, 
	peak_memory_bytes INTEGER, 
	window_ms REAL CONSTRAINT ck_engine_evaluations_window_ms CHECK (window_ms >= 0.0 AND window_ms <= 9e+300), 
	window_cpu_ms REAL CONSTRAINT ck_engine_evaluations_window_cpu_ms CHECK (window_cpu_ms >= 0.0 AND window_cpu_ms <= 9e+300), 
	details_json TEXT, 
	measured_utc TEXT NOT NULL, 
	CONSTRAINT pk_engine_evaluations PRIMARY KEY (engine_evaluation_id), 
	CONSTRAINT fk_engine_evaluations_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	CONSTRAINT fk_engine_evaluations_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (device_id), 
	CONSTRAINT uq_engine_evaluations_measured UNIQUE (run_id, engine, engine_version, precision, device_id, split, metric)
)
 STRICT

;
CREATE TABLE engine_latencies (
	engine_latency_id INTEGER NOT NULL, 
	run_id INTEGER, 
	engine TEXT NOT NULL, 
	engine_version TEXT NOT NULL, 
	precision TEXT NOT NULL, 
	device_id INTEGER NOT NULL, 
	n_threads INTEGER NOT NULL, 
	backbone TEXT NOT NULL, 
	audio_seconds REAL NOT NULL CONSTRAINT ck_engine_latencies_audio_seconds CHECK (audio_seconds >= 0.0 AND audio_seconds <= 9e+300), 
	reduction TEXT NOT NULL, 
	n_output_tokens INTEGER NOT NULL, 
	batch_size INTEGER NOT NULL, 
	kv_cache INTEGER NOT NULL CONSTRAINT ck_engine_latencies_kv_cache CHECK (kv_cache IN (0, 1)), 
	n_warmup INTEGER NOT NULL, 
	n_samples INTEGER NOT NULL, 
	n_processes INTEGER NOT NULL, 
	p50_ms REAL NOT NULL CONSTRAINT ck_engine_latencies_p50_ms CHECK (p50_ms >= 0.0 AND p50_ms <= 9e+300), 
	p90_ms REAL NOT NULL CONSTRAINT ck_engine_latencies_p90_ms CHECK (p90_ms >= 0.0 AND p90_ms <= 9e+300), 
	p95_ms REAL NOT NULL CONSTRAINT ck_engine_latencies_p95_ms CHECK (p95_ms >= 0.0 AND p95_ms <= 9e+300), 
	p99_ms REAL NOT NULL CONSTRAINT ck_engine_latencies_p99_ms CHECK (p99_ms >= 0.0 AND p99_ms <= 9e+300), 
	noise_floor REAL CONSTRAINT ck_engine_latencies_noise_floor CHECK (noise_floor >= 0.0 AND noise_floor <= 9e+300), 
	stages_json TEXT, 
	method TEXT NOT NULL, 
	measured_utc TEXT NOT NULL, request_p50_ms REAL CONSTRAINT ck_engine_latencies_request_p50_ms CHECK (request_p50_ms >= 0.0 AND request_p50_ms <= 9e+300), request_p95_ms REAL CONSTRAINT ck_engine_latencies_request_p95_ms CHECK (request_p95_ms >= 0.0 AND request_p95_ms <= 9e+300), n_requests INTEGER, jitter REAL CONSTRAINT ck_engine_latencies_jitter CHECK (jitter >= 0.0 AND jitter <= 9e+300), processor_ms REAL CONSTRAINT ck_engine_latencies_processor_ms CHECK (processor_ms >= 0.0 AND processor_ms <= 9e+300), contention REAL CONSTRAINT ck_engine_latencies_contention CHECK (contention >= 0.0 AND contention <= 9e+300), quiet INTEGER CONSTRAINT ck_engine_latencies_quiet CHECK (quiet IN (0, 1)), share_above_p95 REAL CONSTRAINT ck_engine_latencies_share_above_p95 CHECK (share_above_p95 >= 0.0 AND share_above_p95 <= 9e+300), 
	CONSTRAINT pk_engine_latencies PRIMARY KEY (engine_latency_id), 
	CONSTRAINT fk_engine_latencies_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	CONSTRAINT fk_engine_latencies_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (device_id)
)
 STRICT

;
CREATE TABLE engine_utterances (
	engine_evaluation_id INTEGER NOT NULL, 
	utterance_id TEXT NOT NULL, 
	hypothesis TEXT NOT NULL, 
	n_units INTEGER NOT NULL, 
	n_errors INTEGER NOT NULL, 
	n_output_tokens INTEGER, 
	CONSTRAINT pk_engine_utterances PRIMARY KEY (engine_evaluation_id, utterance_id), 
	CONSTRAINT fk_engine_utterances_engine_evaluation_id_engine_evaluations FOREIGN KEY(engine_evaluation_id) REFERENCES engine_evaluations (engine_evaluation_id)
)
 STRICT

;
CREATE TABLE evaluations (
	evaluation_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	split TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	error REAL NOT NULL CONSTRAINT ck_evaluations_error CHECK (error >= 0.0 AND error <= 9e+300), 
	std_error REAL CONSTRAINT ck_evaluations_std_error CHECK (std_error >= 0.0 AND std_error <= 9e+300), 
	n_units INTEGER, 
	n_errors INTEGER, 
	n_substitutions INTEGER, 
	n_insertions INTEGER, 
	n_deletions INTEGER, 
	n_utterances INTEGER, 
	n_broken INTEGER DEFAULT '0' NOT NULL, 
	selection TEXT NOT NULL, 
	audio_coverage REAL CONSTRAINT ck_evaluations_audio_coverage CHECK (audio_coverage >= 0.0 AND audio_coverage <= 9e+300), 
	speaker_overlap INTEGER, 
	mean_output_tokens REAL CONSTRAINT ck_evaluations_mean_output_tokens CHECK (mean_output_tokens >= 0.0 AND mean_output_tokens <= 9e+300), 
	output_tokens_json TEXT, 
	details_json TEXT, 
	CONSTRAINT pk_evaluations PRIMARY KEY (evaluation_id), 
	CONSTRAINT fk_evaluations_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	CONSTRAINT uq_evaluations_run_id_split_metric UNIQUE (run_id, split, metric)
)
 STRICT

;
INSERT INTO "evaluations" VALUES(1,1,'test','wer',0.25,0.01,6,3,NULL,NULL,NULL,3,0,'final',1.0,NULL,3.0,'{"p95": 4.0}','{"windows_per_utterance": 1.5}');
INSERT INTO "evaluations" VALUES(2,3,'test','wer',0.1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'final',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE exports (
	export_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	format TEXT NOT NULL, 
	engine TEXT NOT NULL, 
	precision TEXT NOT NULL, 
	folder TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	versions_json TEXT, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_exports PRIMARY KEY (export_id), 
	CONSTRAINT fk_exports_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	CONSTRAINT uq_exports_folder UNIQUE (folder)
)
 STRICT

;
CREATE TABLE forecasts (
	sweep_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	device TEXT NOT NULL, 
	source TEXT NOT NULL, 
	train_flops REAL NOT NULL CONSTRAINT ck_forecasts_train_flops CHECK (train_flops >= 0.0 AND train_flops <= 9e+300), 
	score_flops REAL NOT NULL CONSTRAINT ck_forecasts_score_flops CHECK (score_flops >= 0.0 AND score_flops <= 9e+300), 
	trial_seconds REAL NOT NULL CONSTRAINT ck_forecasts_trial_seconds CHECK (trial_seconds >= 0.0 AND trial_seconds <= 9e+300), 
	trial_seconds_low REAL NOT NULL CONSTRAINT ck_forecasts_trial_seconds_low CHECK (trial_seconds_low >= 0.0 AND trial_seconds_low <= 9e+300), 
	trial_seconds_high REAL NOT NULL CONSTRAINT ck_forecasts_trial_seconds_high CHECK (trial_seconds_high >= 0.0 AND trial_seconds_high <= 9e+300), 
	peak_memory_bytes REAL NOT NULL CONSTRAINT ck_forecasts_peak_memory_bytes CHECK (peak_memory_bytes >= 0.0 AND peak_memory_bytes <= 9e+300), 
	peak_memory_bytes_low REAL NOT NULL CONSTRAINT ck_forecasts_peak_memory_bytes_low CHECK (peak_memory_bytes_low >= 0.0 AND peak_memory_bytes_low <= 9e+300), 
	peak_memory_bytes_high REAL NOT NULL CONSTRAINT ck_forecasts_peak_memory_bytes_high CHECK (peak_memory_bytes_high >= 0.0 AND peak_memory_bytes_high <= 9e+300), 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_forecasts PRIMARY KEY (sweep_id, trial_id), 
	CONSTRAINT fk_forecasts_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (sweep_id), 
	CONSTRAINT fk_forecasts_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE host_leases (
	host TEXT NOT NULL, 
	token TEXT NOT NULL, 
	lease_until_seconds REAL NOT NULL CONSTRAINT ck_host_leases_lease_until_seconds CHECK (lease_until_seconds >= 0.0 AND lease_until_seconds <= 9e+300), 
	taken_utc TEXT NOT NULL, 
	CONSTRAINT pk_host_leases PRIMARY KEY (host)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE jobs (
	job_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	request_json TEXT NOT NULL, 
	state TEXT NOT NULL, 
	result_json TEXT, 
	problem_json TEXT, 
	created_utc TEXT NOT NULL, 
	heartbeat_utc TEXT, 
	finished_utc TEXT, 
	CONSTRAINT pk_jobs PRIMARY KEY (job_id), 
	CONSTRAINT ck_jobs_state CHECK (state IN ('queued', 'running', 'finished', 'failed'))
)
 STRICT

;
CREATE TABLE latencies (
	latency_id INTEGER NOT NULL, 
	measurement_key TEXT NOT NULL, 
	run_id INTEGER, 
	device_id INTEGER NOT NULL, 
	backbone TEXT NOT NULL, 
	audio_seconds REAL NOT NULL CONSTRAINT ck_latencies_audio_seconds CHECK (audio_seconds >= 0.0 AND audio_seconds <= 9e+300), 
	reduction TEXT NOT NULL, 
	n_output_tokens INTEGER NOT NULL, 
	batch_size INTEGER NOT NULL, 
	dtype TEXT NOT NULL, 
	attention TEXT NOT NULL, 
	kv_cache INTEGER NOT NULL CONSTRAINT ck_latencies_kv_cache CHECK (kv_cache IN (0, 1)), 
	synchronised INTEGER NOT NULL CONSTRAINT ck_latencies_synchronised CHECK (synchronised IN (0, 1)), 
	n_warmup INTEGER NOT NULL, 
	n_samples INTEGER NOT NULL, 
	n_processes INTEGER NOT NULL, 
	p50_ms REAL NOT NULL CONSTRAINT ck_latencies_p50_ms CHECK (p50_ms >= 0.0 AND p50_ms <= 9e+300), 
	p90_ms REAL NOT NULL CONSTRAINT ck_latencies_p90_ms CHECK (p90_ms >= 0.0 AND p90_ms <= 9e+300), 
	p95_ms REAL NOT NULL CONSTRAINT ck_latencies_p95_ms CHECK (p95_ms >= 0.0 AND p95_ms <= 9e+300), 
	p99_ms REAL NOT NULL CONSTRAINT ck_latencies_p99_ms CHECK (p99_ms >= 0.0 AND p99_ms <= 9e+300), 
	noise_floor REAL CONSTRAINT ck_latencies_noise_floor CHECK (noise_floor >= 0.0 AND noise_floor <= 9e+300), 
	stages_json TEXT, 
	method TEXT NOT NULL, 
	measured_utc TEXT NOT NULL, request_p50_ms REAL CONSTRAINT ck_latencies_request_p50_ms CHECK (request_p50_ms >= 0.0 AND request_p50_ms <= 9e+300), request_p95_ms REAL CONSTRAINT ck_latencies_request_p95_ms CHECK (request_p95_ms >= 0.0 AND request_p95_ms <= 9e+300), n_requests INTEGER, jitter REAL CONSTRAINT ck_latencies_jitter CHECK (jitter >= 0.0 AND jitter <= 9e+300), processor_ms REAL CONSTRAINT ck_latencies_processor_ms CHECK (processor_ms >= 0.0 AND processor_ms <= 9e+300), contention REAL CONSTRAINT ck_latencies_contention CHECK (contention >= 0.0 AND contention <= 9e+300), quiet INTEGER CONSTRAINT ck_latencies_quiet CHECK (quiet IN (0, 1)), share_above_p95 REAL CONSTRAINT ck_latencies_share_above_p95 CHECK (share_above_p95 >= 0.0 AND share_above_p95 <= 9e+300), 
	CONSTRAINT pk_latencies PRIMARY KEY (latency_id), 
	CONSTRAINT fk_latencies_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (device_id), 
	CONSTRAINT fk_latencies_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	CONSTRAINT uq_latencies_measurement_key UNIQUE (measurement_key)
)
 STRICT

;
INSERT INTO "latencies" VALUES(1,'7a0bb39e0104432fb8a1c76c7533254a',1,1,'whisper-tiny',8.0,'stem:2',3,1,'float32','sdpa',1,1,3,20,1,40.0,50.0,55.0,60.0,NULL,'{"encoder": 20.0}','probe/1','2026-11-30T23:53:30.091Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE latency_stages (
	latency_stage_id INTEGER NOT NULL, 
	sweep_id INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	state TEXT NOT NULL, 
	sweep_seconds REAL NOT NULL CONSTRAINT ck_latency_stages_sweep_seconds CHECK (sweep_seconds >= 0.0 AND sweep_seconds <= 9e+300), 
	allowed_seconds REAL NOT NULL CONSTRAINT ck_latency_stages_allowed_seconds CHECK (allowed_seconds >= 0.0 AND allowed_seconds <= 9e+300), 
	seconds REAL NOT NULL CONSTRAINT ck_latency_stages_seconds CHECK (seconds >= 0.0 AND seconds <= 9e+300), 
	n_rounds INTEGER NOT NULL, 
	n_rounds_whole INTEGER NOT NULL, 
	noise_floor REAL CONSTRAINT ck_latency_stages_noise_floor CHECK (noise_floor >= 0.0 AND noise_floor <= 9e+300), 
	noise_floor_largest REAL CONSTRAINT ck_latency_stages_noise_floor_largest CHECK (noise_floor_largest >= 0.0 AND noise_floor_largest <= 9e+300), 
	share_above_p95 REAL CONSTRAINT ck_latency_stages_share_above_p95 CHECK (share_above_p95 >= 0.0 AND share_above_p95 <= 9e+300), 
	details_json TEXT, 
	began_utc TEXT NOT NULL, 
	ended_utc TEXT, 
	CONSTRAINT pk_latency_stages PRIMARY KEY (latency_stage_id), 
	CONSTRAINT fk_latency_stages_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (sweep_id), 
	CONSTRAINT ck_latency_stages_state CHECK (state IN ('open', 'finished')), 
	CONSTRAINT ck_latency_stages_ended CHECK ((state = 'finished') = (ended_utc IS NOT NULL))
)
 STRICT

;
CREATE TABLE latency_turns (
	latency_stage_id INTEGER NOT NULL, 
	contestant TEXT NOT NULL, 
	round INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	timed_json TEXT NOT NULL, 
	CONSTRAINT pk_latency_turns PRIMARY KEY (latency_stage_id, contestant, round), 
	CONSTRAINT fk_latency_turns_latency_stage_id_latency_stages FOREIGN KEY(latency_stage_id) REFERENCES latency_stages (latency_stage_id), 
	CONSTRAINT fk_latency_turns_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE law_fit_runs (
	fit_id TEXT NOT NULL, 
	run_id INTEGER NOT NULL, 
	included INTEGER NOT NULL CONSTRAINT ck_law_fit_runs_included CHECK (included IN (0, 1)), 
	reason TEXT, 
	CONSTRAINT pk_law_fit_runs PRIMARY KEY (fit_id, run_id), 
	CONSTRAINT fk_law_fit_runs_fit_id_law_fits FOREIGN KEY(fit_id) REFERENCES law_fits (fit_id), 
	CONSTRAINT fk_law_fit_runs_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "law_fit_runs" VALUES('f1',1,1,NULL);
CREATE TABLE law_fits (
	fit_id TEXT NOT NULL, 
	task TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	law TEXT NOT NULL, 
	status TEXT NOT NULL, 
	n_runs INTEGER NOT NULL, 
	objective REAL NOT NULL CONSTRAINT ck_law_fits_objective CHECK (objective >= -9e+300 AND objective <= 9e+300), 
	selection_json TEXT NOT NULL, 
	fit_json TEXT NOT NULL, 
	version TEXT NOT NULL, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_law_fits PRIMARY KEY (fit_id)
)
 STRICT

;
INSERT INTO "law_fits" VALUES('f1','asr','wer','additive','converged',1,0.5,'{}','{}','0.1.0','2026-11-30T23:53:30.211Z');
CREATE TABLE plans (
	answer_id TEXT NOT NULL, 
	fit_id TEXT, 
	task TEXT NOT NULL, 
	query_json TEXT NOT NULL, 
	answer_json TEXT NOT NULL, 
	version TEXT NOT NULL, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_plans PRIMARY KEY (answer_id), 
	CONSTRAINT fk_plans_fit_id_law_fits FOREIGN KEY(fit_id) REFERENCES law_fits (fit_id)
)
 STRICT

;
INSERT INTO "plans" VALUES('a1','f1','asr','{}','{}','0.1.0','2026-11-30T23:53:30.235Z');
CREATE TABLE run_steps (
	run_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	loss REAL CONSTRAINT ck_run_steps_loss CHECK (loss >= -9e+300 AND loss <= 9e+300), 
	grad_norm REAL CONSTRAINT ck_run_steps_grad_norm CHECK (grad_norm >= 0.0 AND grad_norm <= 9e+300), 
	learning_rate REAL NOT NULL CONSTRAINT ck_run_steps_learning_rate CHECK (learning_rate >= 0.0 AND learning_rate <= 9e+300), 
	seconds REAL NOT NULL CONSTRAINT ck_run_steps_seconds CHECK (seconds >= 0.0 AND seconds <= 9e+300), 
	CONSTRAINT pk_run_steps PRIMARY KEY (run_id, step), 
	CONSTRAINT fk_run_steps_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "run_steps" VALUES(1,1,2.0,1.0,0.001,0.1);
INSERT INTO "run_steps" VALUES(1,2,NULL,NULL,0.001,0.2);
CREATE TABLE runs (
	run_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	token INTEGER NOT NULL, 
	claim_key TEXT, 
	status TEXT NOT NULL, 
	provenance TEXT DEFAULT 'measured' NOT NULL, 
	source TEXT, 
	source_kind TEXT, 
	failure_class TEXT, 
	failure_text TEXT, 
	host TEXT, 
	pid INTEGER, 
	device_id INTEGER, 
	worker_version TEXT, 
	code_revision TEXT, 
	versions_json TEXT, 
	started_utc TEXT NOT NULL, 
	heartbeat_utc TEXT, 
	finished_utc TEXT, 
	phase TEXT, 
	step INTEGER, 
	n_steps INTEGER, 
	loss REAL CONSTRAINT ck_runs_loss CHECK (loss >= -9e+300 AND loss <= 9e+300), 
	n_params_counted INTEGER, 
	n_trainable INTEGER, 
	train_seconds REAL CONSTRAINT ck_runs_train_seconds CHECK (train_seconds >= 0.0 AND train_seconds <= 9e+300), 
	score_seconds REAL CONSTRAINT ck_runs_score_seconds CHECK (score_seconds >= 0.0 AND score_seconds <= 9e+300), 
	train_audio_seconds REAL CONSTRAINT ck_runs_train_audio_seconds CHECK (train_audio_seconds >= 0.0 AND train_audio_seconds <= 9e+300), 
	train_flops REAL CONSTRAINT ck_runs_train_flops CHECK (train_flops >= 0.0 AND train_flops <= 9e+300), 
	peak_memory_bytes INTEGER, 
	micro_batch INTEGER, 
	precision TEXT, 
	weights_source TEXT, 
	weights_digest TEXT, 
	data_source TEXT, 
	artifact TEXT, 
	details_json TEXT, 
	CONSTRAINT pk_runs PRIMARY KEY (run_id), 
	CONSTRAINT ck_runs_provenance CHECK (provenance IN ('measured', 'published', 'imported')), 
	CONSTRAINT ck_runs_status CHECK (status IN ('running', 'finished', 'failed', 'lost', 'cancelled')), 
	CONSTRAINT fk_runs_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (device_id), 
	CONSTRAINT fk_runs_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (trial_id), 
	CONSTRAINT uq_runs_claim_key UNIQUE (claim_key), 
	CONSTRAINT uq_runs_trial_id_attempt UNIQUE (trial_id, attempt)
)
 STRICT

;
INSERT INTO "runs" VALUES(1,1,1,1,'b2d534ed1e2e4786963c691e79bd4520','finished','measured',NULL,NULL,NULL,NULL,'node-a',7,1,'0.1.0','abc','{"torch": "2"}','2026-11-30T23:53:30.039Z',NULL,'2026-11-30T23:53:30.067Z',NULL,NULL,NULL,NULL,37760640,3000000000,12.5,NULL,NULL,1000000000000.0,9000000000,NULL,NULL,'cache',NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,2,1,1,'2614b3cf33ab4a9284059307710d9a21','failed','measured',NULL,NULL,'out-of-memory','no more memory','node-a',7,NULL,'0.1.0','abc',NULL,'2026-11-30T23:53:30.112Z',NULL,'2026-11-30T23:53:30.127Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,4,1,1,NULL,'finished','published','table 2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30T23:53:30.167Z',NULL,'2026-11-30T23:53:30.167Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE scorings (
	run_id INTEGER NOT NULL, 
	split TEXT NOT NULL, 
	scorer TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	error REAL NOT NULL CONSTRAINT ck_scorings_error CHECK (error >= 0.0 AND error <= 9e+300), 
	std_error REAL CONSTRAINT ck_scorings_std_error CHECK (std_error >= 0.0 AND std_error <= 9e+300), 
	n_units INTEGER NOT NULL, 
	n_errors INTEGER NOT NULL, 
	n_substitutions INTEGER NOT NULL, 
	n_insertions INTEGER NOT NULL, 
	n_deletions INTEGER NOT NULL, 
	n_utterances INTEGER NOT NULL, 
	cer REAL CONSTRAINT ck_scorings_cer CHECK (cer >= 0.0 AND cer <= 9e+300), 
	scored_utc TEXT NOT NULL, 
	CONSTRAINT pk_scorings PRIMARY KEY (run_id, split, scorer), 
	CONSTRAINT fk_scorings_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
 STRICT

;
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	spec_json TEXT NOT NULL, 
	question_json TEXT NOT NULL, 
	hours REAL CONSTRAINT ck_studies_hours CHECK (hours >= 0.0 AND hours <= 9e+300), 
	until_regret REAL CONSTRAINT ck_studies_until_regret CHECK (until_regret >= 0.0 AND until_regret <= 9e+300), 
	worth REAL NOT NULL CONSTRAINT ck_studies_worth CHECK (worth >= 0.0 AND worth <= 9e+300), 
	n_workers INTEGER NOT NULL, 
	state TEXT DEFAULT 'open' NOT NULL, 
	verdict TEXT, 
	answer_id TEXT, 
	report_json TEXT, 
	created_utc TEXT NOT NULL, 
	ended_utc TEXT, 
	CONSTRAINT pk_studies PRIMARY KEY (study_id), 
	CONSTRAINT ck_studies_state CHECK (state IN ('open', 'ended')), 
	CONSTRAINT fk_studies_answer_id_plans FOREIGN KEY(answer_id) REFERENCES plans (answer_id), 
	CONSTRAINT uq_studies_name UNIQUE (name)
)
 STRICT

;
CREATE TABLE study_rounds (
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	runs_json TEXT NOT NULL, 
	belief_json TEXT, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_study_rounds PRIMARY KEY (study_id, number), 
	CONSTRAINT fk_study_rounds_study_id_studies FOREIGN KEY(study_id) REFERENCES studies (study_id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE sweep_trials (
	sweep_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_sweep_trials PRIMARY KEY (sweep_id, trial_id), 
	CONSTRAINT fk_sweep_trials_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (sweep_id), 
	CONSTRAINT fk_sweep_trials_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "sweep_trials" VALUES(1,1,0);
INSERT INTO "sweep_trials" VALUES(1,2,1);
INSERT INTO "sweep_trials" VALUES(1,3,2);
CREATE TABLE sweeps (
	sweep_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	spec_json TEXT NOT NULL, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_sweeps PRIMARY KEY (sweep_id), 
	CONSTRAINT uq_sweeps_name UNIQUE (name)
)
 STRICT

;
INSERT INTO "sweeps" VALUES(1,'sweep','{}','2026-11-30T23:53:29.880Z');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	fingerprint TEXT NOT NULL, 
	trial_json TEXT NOT NULL, 
	task TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	dataset TEXT NOT NULL, 
	dataset_digest TEXT NOT NULL, 
	split_policy TEXT NOT NULL, 
	reference_policy TEXT NOT NULL, 
	backbone TEXT NOT NULL, 
	initialisation TEXT NOT NULL, 
	n_params INTEGER NOT NULL, 
	audio_seconds REAL NOT NULL CONSTRAINT ck_trials_audio_seconds CHECK (audio_seconds >= 0.0 AND audio_seconds <= 9e+300), 
	reduction TEXT NOT NULL, 
	reduction_place TEXT NOT NULL, 
	reduction_factor INTEGER NOT NULL, 
	tokens_per_second REAL NOT NULL CONSTRAINT ck_trials_tokens_per_second CHECK (tokens_per_second >= 0.0 AND tokens_per_second <= 9e+300), 
	padding TEXT NOT NULL, 
	adaptation TEXT NOT NULL, 
	lora_rank INTEGER, 
	top_k_layers INTEGER NOT NULL, 
	n_train INTEGER NOT NULL, 
	n_test INTEGER NOT NULL, 
	normaliser TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	state TEXT DEFAULT 'queued' NOT NULL, 
	token INTEGER DEFAULT '0' NOT NULL, 
	lease_until_seconds REAL CONSTRAINT ck_trials_lease_until_seconds CHECK (lease_until_seconds >= 0.0 AND lease_until_seconds <= 9e+300), 
	n_attempts INTEGER DEFAULT '0' NOT NULL, 
	max_attempts INTEGER DEFAULT '3' NOT NULL, 
	resources_json TEXT DEFAULT '{}' NOT NULL, 
	created_utc TEXT NOT NULL, 
	CONSTRAINT pk_trials PRIMARY KEY (trial_id), 
	CONSTRAINT ck_trials_lease CHECK ((state = 'running') = (lease_until_seconds IS NOT NULL)), 
	CONSTRAINT ck_trials_state CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')), 
	CONSTRAINT uq_trials_fingerprint UNIQUE (fingerprint)
)
 STRICT

;
INSERT INTO "trials" VALUES(1,'ec8bdaf5eb9124067ba8bbd1431f2a5d93f8faaddd2cd04727efaec120b7ebda','{"adaptation":{"dora":false,"kind":"lora","lora_alpha":16.0,"lora_dropout":0.0,"lora_rank":8,"rslora":false,"targets":"all-linear","top_k_layers":0},"audio_seconds":8.0,"backbone":"whisper-tiny","dataset":"speech","dataset_digest":"d1","decoding":{"beams":1,"kv_cache":true,"max_new_tokens":128,"max_tokens_per_second":8.0,"no_repeat_ngram":0,"window_cut":"pause"},"initialisation":"pretrained","n_test":3,"n_train":8,"normaliser":"whisper-english","optimisation":{"batch_size":4,"clip_norm":1.0,"head_learning_rate":null,"learning_rate":0.001,"optimiser":"adamw","schedule":"linear","steps":40,"top_k_learning_rate":null,"warmup_fraction":0.1,"weight_decay":0.0},"padding":"dynamic","precision":"auto","reduction":{"factor":2,"layer":null,"operator":"stride","place":"stem"},"reference_policy":"window","seed":0,"split_policy":"official","task":"asr"}','asr','wer','speech','d1','official','window','whisper-tiny','pretrained',37760640,8.0,'stem:2','stem',2,25.0,'dynamic','lora:8',8,0,8,3,'whisper-english',0,'finished',1,NULL,1,3,'{"compile":false,"cpus":1.0,"device_label":null,"gpus":0.0,"gradient_checkpointing":false,"max_attempts":3,"memory_bytes":null,"micro_batch":null,"validate":false}','2026-11-30T23:53:29.912Z');
INSERT INTO "trials" VALUES(2,'8267f4c733ca177fd8417fd7f5d4bed490a0065aad86a9b9f5deb9e6194049ef','{"adaptation":{"dora":false,"kind":"lora","lora_alpha":16.0,"lora_dropout":0.0,"lora_rank":8,"rslora":false,"targets":"all-linear","top_k_layers":0},"audio_seconds":8.0,"backbone":"whisper-tiny","dataset":"speech","dataset_digest":"d1","decoding":{"beams":1,"kv_cache":true,"max_new_tokens":128,"max_tokens_per_second":8.0,"no_repeat_ngram":0,"window_cut":"pause"},"initialisation":"pretrained","n_test":3,"n_train":8,"normaliser":"whisper-english","optimisation":{"batch_size":4,"clip_norm":1.0,"head_learning_rate":null,"learning_rate":0.001,"optimiser":"adamw","schedule":"linear","steps":40,"top_k_learning_rate":null,"warmup_fraction":0.1,"weight_decay":0.0},"padding":"dynamic","precision":"auto","reduction":{"factor":2,"layer":null,"operator":"stride","place":"stem"},"reference_policy":"window","seed":1,"split_policy":"official","task":"asr"}','asr','wer','speech','d1','official','window','whisper-tiny','pretrained',37760640,8.0,'stem:2','stem',2,25.0,'dynamic','lora:8',8,0,8,3,'whisper-english',1,'failed',1,NULL,1,3,'{"compile":false,"cpus":1.0,"device_label":null,"gpus":0.0,"gradient_checkpointing":false,"max_attempts":3,"memory_bytes":null,"micro_batch":null,"validate":false}','2026-11-30T23:53:29.912Z');
INSERT INTO "trials" VALUES(3,'a579e3824a5a8e568e4afb64ad1955a34679645479c1c99e474bd7df93ced9d6','{"adaptation":{"dora":false,"kind":"lora","lora_alpha":16.0,"lora_dropout":0.0,"lora_rank":8,"rslora":false,"targets":"all-linear","top_k_layers":0},"audio_seconds":8.0,"backbone":"whisper-tiny","dataset":"speech","dataset_digest":"d1","decoding":{"beams":1,"kv_cache":true,"max_new_tokens":128,"max_tokens_per_second":8.0,"no_repeat_ngram":0,"window_cut":"pause"},"initialisation":"pretrained","n_test":3,"n_train":8,"normaliser":"whisper-english","optimisation":{"batch_size":4,"clip_norm":1.0,"head_learning_rate":null,"learning_rate":0.001,"optimiser":"adamw","schedule":"linear","steps":40,"top_k_learning_rate":null,"warmup_fraction":0.1,"weight_decay":0.0},"padding":"dynamic","precision":"auto","reduction":{"factor":2,"layer":null,"operator":"stride","place":"stem"},"reference_policy":"window","seed":2,"split_policy":"official","task":"asr"}','asr','wer','speech','d1','official','window','whisper-tiny','pretrained',37760640,8.0,'stem:2','stem',2,25.0,'dynamic','lora:8',8,0,8,3,'whisper-english',2,'queued',0,NULL,0,3,'{"compile":false,"cpus":1.0,"device_label":null,"gpus":0.0,"gradient_checkpointing":false,"max_attempts":3,"memory_bytes":null,"micro_batch":null,"validate":false}','2026-11-30T23:53:29.912Z');
INSERT INTO "trials" VALUES(4,'c6428a62de7ae29adb7c712b903d1dec9ceb638baac870c4b5f38094c4b530e1','{"adaptation":{"dora":false,"kind":"lora","lora_alpha":16.0,"lora_dropout":0.0,"lora_rank":8,"rslora":false,"targets":"all-linear","top_k_layers":0},"audio_seconds":8.0,"backbone":"whisper-tiny","dataset":"speech","dataset_digest":"d1","decoding":{"beams":1,"kv_cache":true,"max_new_tokens":128,"max_tokens_per_second":8.0,"no_repeat_ngram":0,"window_cut":"pause"},"initialisation":"pretrained","n_test":3,"n_train":8,"normaliser":"whisper-english","optimisation":{"batch_size":4,"clip_norm":1.0,"head_learning_rate":null,"learning_rate":0.001,"optimiser":"adamw","schedule":"linear","steps":40,"top_k_learning_rate":null,"warmup_fraction":0.1,"weight_decay":0.0},"padding":"dynamic","precision":"auto","reduction":{"factor":2,"layer":null,"operator":"stride","place":"stem"},"reference_policy":"window","seed":50,"split_policy":"official","task":"asr"}','asr','wer','speech','d1','official','window','whisper-tiny','pretrained',37760640,8.0,'stem:2','stem',2,25.0,'dynamic','lora:8',8,0,8,3,'whisper-english',50,'finished',1,NULL,1,3,'{"compile":false,"cpus":1.0,"device_label":null,"gpus":0.0,"gradient_checkpointing":false,"max_attempts":3,"memory_bytes":null,"micro_batch":null,"validate":false}','2026-11-30T23:53:30.147Z');
CREATE TABLE utterances (
	evaluation_id INTEGER NOT NULL, 
	utterance_id TEXT NOT NULL, 
	speaker TEXT, 
	reference TEXT NOT NULL, 
	hypothesis TEXT NOT NULL, 
	n_units INTEGER NOT NULL, 
	n_errors INTEGER NOT NULL, 
	n_substitutions INTEGER, 
	n_insertions INTEGER, 
	n_deletions INTEGER, 
	audio_seconds REAL NOT NULL CONSTRAINT ck_utterances_audio_seconds CHECK (audio_seconds >= 0.0 AND audio_seconds <= 9e+300), 
	audio_coverage REAL NOT NULL CONSTRAINT ck_utterances_audio_coverage CHECK (audio_coverage >= 0.0 AND audio_coverage <= 9e+300), 
	n_output_tokens INTEGER, 
	failure_text TEXT, part_ends TEXT, 
	CONSTRAINT pk_utterances PRIMARY KEY (evaluation_id, utterance_id), 
	CONSTRAINT fk_utterances_evaluation_id_evaluations FOREIGN KEY(evaluation_id) REFERENCES evaluations (evaluation_id)
)
 STRICT

;
INSERT INTO "utterances" VALUES(1,'u0000','s1','a b','a',2,1,NULL,NULL,1,4.0,1.0,3,NULL,NULL);
INSERT INTO "utterances" VALUES(1,'u0001','s1','a b','a',2,1,NULL,NULL,1,5.0,1.0,3,NULL,NULL);
INSERT INTO "utterances" VALUES(1,'u0002','s1','a b','a',2,1,NULL,NULL,1,6.0,1.0,3,NULL,NULL);
CREATE INDEX ix_trials_state_trial_id ON trials (state, trial_id);
CREATE INDEX ix_trials_task_backbone ON trials (task, backbone);
CREATE INDEX ix_runs_status_run_id ON runs (status, run_id);
CREATE UNIQUE INDEX uq_runs_finished_trial ON runs (trial_id) WHERE status = 'finished';
CREATE INDEX ix_latencies_device_id_backbone ON latencies (device_id, backbone);
CREATE VIEW v_costs AS
SELECT
    r.run_id, r.trial_id, t.task, t.backbone, t.n_params, t.audio_seconds, t.reduction,
    t.tokens_per_second, t.audio_seconds * t.tokens_per_second AS encoder_tokens, t.adaptation,
    r.n_trainable, r.train_flops, r.train_seconds, r.train_audio_seconds, r.peak_memory_bytes,
    d.name AS device, l.batch_size, l.dtype, l.n_output_tokens, l.p50_ms, l.p90_ms, l.p95_ms,
    l.p99_ms, l.n_samples, l.n_warmup, l.noise_floor, l.method
FROM runs r
JOIN trials t ON t.trial_id = r.trial_id
LEFT JOIN latencies l ON l.run_id = r.run_id
LEFT JOIN devices d ON d.device_id = l.device_id;
CREATE VIEW v_utterances AS
SELECT
    e.run_id, e.split, e.metric, t.task, t.backbone, t.audio_seconds AS window_seconds,
    t.reduction, t.tokens_per_second, u.utterance_id, u.speaker, u.reference, u.hypothesis,
    u.n_units, u.n_errors, u.n_substitutions, u.n_insertions, u.n_deletions, u.audio_seconds,
    u.audio_coverage, u.n_output_tokens, u.failure_text
FROM utterances u
JOIN evaluations e ON e.evaluation_id = u.evaluation_id
JOIN runs r ON r.run_id = e.run_id
JOIN trials t ON t.trial_id = r.trial_id;
CREATE VIEW v_frontier AS
SELECT
    a.run_id, a.task, a.dataset_digest, a.latency_device, a.latency_p50_ms, a.error, a.backbone,
    a.audio_seconds, a.reduction, a.tokens_per_second, a.adaptation
FROM v_results a
WHERE a.status = 'finished' AND a.error IS NOT NULL AND a.latency_p50_ms IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM v_results b
        WHERE b.status = 'finished' AND b.task = a.task AND b.dataset_digest = a.dataset_digest
            AND b.latency_device = a.latency_device
            AND b.error <= a.error AND b.latency_p50_ms <= a.latency_p50_ms
            AND (b.error < a.error OR b.latency_p50_ms < a.latency_p50_ms));
CREATE INDEX ix_jobs_state_job_id ON jobs (state, job_id);
CREATE VIEW v_axes AS
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'n_params' AS axis, CAST(n_params AS DOUBLE PRECISION) AS value, 'parameters' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_n_params AS n_on_line,
    FIRST_VALUE(error) OVER (along_n_params ORDER BY n_params DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_n_params AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    audio_seconds, reduction)
UNION ALL
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'audio_seconds' AS axis, CAST(audio_seconds AS DOUBLE PRECISION) AS value, 's' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_audio_seconds AS n_on_line,
    FIRST_VALUE(error) OVER (along_audio_seconds ORDER BY audio_seconds DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_audio_seconds AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    backbone, reduction)
UNION ALL
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'tokens_per_second' AS axis, CAST(tokens_per_second AS DOUBLE PRECISION) AS value, '1/s' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_tokens_per_second AS n_on_line,
    FIRST_VALUE(error) OVER (along_tokens_per_second ORDER BY tokens_per_second DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_tokens_per_second AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    backbone, audio_seconds);
CREATE VIEW v_planned_vs_actual AS
SELECT
    a.answer_id, a.answered_utc, a.fit_id, a.task, a.label, a.backbone, a.audio_seconds,
    a.reduction, a.adaptation, a.metric, a.predicted_error, a.predicted_low, a.predicted_high,
    a.level, r.run_id, r.seed, r.finished_utc, r.error AS actual_error,
    r.std_error AS actual_std_error, r.error - a.predicted_error AS error_difference,
    CASE WHEN r.error IS NULL THEN NULL
        WHEN r.error BETWEEN a.predicted_low AND a.predicted_high THEN 1 ELSE 0 END AS inside,
    a.device, a.quantile,
    a.latency_ms / CASE a.latency_per WHEN 'utterance' THEN a.n_windows ELSE 1.0 END
        AS predicted_window_ms,
    CASE WHEN r.latency_device <> a.device THEN NULL
        WHEN a.quantile = 'p50' THEN r.latency_p50_ms
        WHEN a.quantile = 'p95' THEN r.latency_p95_ms END AS actual_window_ms
FROM (
    SELECT
        p.answer_id, p.created_utc AS answered_utc, p.fit_id, p.task,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.label' THEN b.atom END) AS label,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.backbone' THEN b.atom END) AS backbone,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.audio_seconds' THEN b.atom END) AS audio_seconds,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.reduction' THEN b.atom END) AS reduction,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.adaptation' THEN b.atom END) AS adaptation,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.padding' THEN b.atom END) AS padding,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.error' THEN b.atom END) AS predicted_error,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.low' THEN b.atom END) AS predicted_low,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.high' THEN b.atom END) AS predicted_high,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.level' THEN b.atom END) AS level,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.latency_ms.value' THEN b.atom END) AS latency_ms,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.latency_ms.per' THEN b.atom END) AS latency_per,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.n_windows' THEN b.atom END) AS n_windows,
        (SELECT j.atom FROM json_each(p.answer_json, '$.study') j WHERE j.key = 'dataset_digest') AS dataset_digest,
        (SELECT j.atom FROM json_each(p.answer_json, '$.study') j WHERE j.key = 'metric') AS metric,
        (SELECT j.atom FROM json_each(p.answer_json, '$.query') j WHERE j.key = 'device') AS device,
        (SELECT j.atom FROM json_each(p.answer_json, '$.query') j WHERE j.key = 'quantile') AS quantile
    FROM plans p, json_tree(p.answer_json, '$.best') b
    GROUP BY p.answer_id
) a
LEFT JOIN v_results r
    ON r.task = a.task AND r.backbone = a.backbone AND r.audio_seconds = a.audio_seconds
    AND r.reduction = a.reduction AND r.adaptation = a.adaptation AND r.padding = a.padding
    AND r.dataset_digest = a.dataset_digest AND r.metric = a.metric
    AND r.status = 'finished' AND r.error IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM law_fit_runs f
        WHERE f.fit_id = a.fit_id AND f.run_id = r.run_id AND f.included = 1)
WHERE a.label IS NOT NULL;
CREATE INDEX ix_latencies_device_id_p50_ms_run_id ON latencies (device_id, p50_ms, run_id);
CREATE INDEX ix_latencies_run_id_device_id_p50_ms ON latencies (run_id, device_id, p50_ms);
CREATE INDEX ix_evaluations_metric_split_error_evaluation_id_run_id ON evaluations (metric, split, error, evaluation_id, run_id);
CREATE INDEX ix_evaluations_run_id_metric_split_error ON evaluations (run_id, metric, split, error);
CREATE INDEX ix_exports_run_id_engine_precision ON exports (run_id, engine, precision);
CREATE INDEX ix_engine_latencies_device_id_engine_precision ON engine_latencies (device_id, engine, precision);
CREATE INDEX ix_engine_latencies_run_id_engine_precision ON engine_latencies (run_id, engine, precision);
CREATE INDEX ix_latency_stages_sweep_id_host ON latency_stages (sweep_id, host);
CREATE VIEW v_engines AS
SELECT
    r.run_id, r.task, r.backbone, r.n_params, r.audio_seconds, r.reduction, r.tokens_per_second,
    r.adaptation, e.engine, e.engine_version, e.precision, e.n_threads, d.name AS device, e.split,
    e.metric, e.error, e.std_error, r.error AS run_error, e.error_difference,
    e.error_difference_std_error, e.n_units, e.n_errors, e.n_utterances, e.n_equal_texts,
    e.size_bytes, e.peak_memory_bytes, e.window_ms, e.window_cpu_ms, l.p50_ms, l.p95_ms,
    e.measured_utc
FROM engine_evaluations e
JOIN v_results r ON r.run_id = e.run_id
JOIN devices d ON d.device_id = e.device_id
LEFT JOIN engine_latencies l ON l.engine_latency_id = (
    SELECT y.engine_latency_id FROM engine_latencies y
    WHERE y.run_id = e.run_id AND y.engine = e.engine AND y.engine_version = e.engine_version
        AND y.precision = e.precision AND y.device_id = e.device_id
    ORDER BY COALESCE(y.quiet, 0) DESC, y.engine_latency_id DESC LIMIT 1);
CREATE VIEW v_results AS
SELECT
    r.run_id, r.trial_id, t.fingerprint, t.state, r.attempt, r.status, r.provenance, r.source,
    r.source_kind,
    t.task, t.metric, t.dataset, t.dataset_digest, t.split_policy, t.reference_policy, t.backbone,
    t.initialisation, t.n_params, t.audio_seconds, t.reduction, t.tokens_per_second, t.padding,
    t.adaptation, t.lora_rank, t.top_k_layers, t.n_train, t.n_test, t.normaliser, t.seed,
    e.split, e.error, e.std_error, e.n_units, e.n_errors, e.n_substitutions, e.n_insertions,
    e.n_deletions, e.n_utterances, e.n_broken, e.selection, e.audio_coverage, e.speaker_overlap,
    e.mean_output_tokens, e.details_json AS evaluation_details_json,
    m.name AS latency_device, l.p50_ms AS latency_p50_ms, l.p95_ms AS latency_p95_ms,
    d.name AS device, r.n_params_counted, r.n_trainable, r.train_seconds, r.score_seconds,
    r.train_audio_seconds, r.train_flops, r.peak_memory_bytes, r.micro_batch, r.precision,
    r.weights_source, r.weights_digest, r.data_source, r.artifact, r.host, r.worker_version,
    r.code_revision, r.started_utc, r.finished_utc, r.failure_class, r.failure_text
FROM runs r
JOIN trials t ON t.trial_id = r.trial_id
LEFT JOIN evaluations e ON e.evaluation_id = (
    SELECT x.evaluation_id FROM evaluations x
    WHERE x.run_id = r.run_id AND x.metric = t.metric
    ORDER BY CASE x.split WHEN 'test' THEN 0 ELSE 1 END, x.evaluation_id LIMIT 1)
LEFT JOIN latencies l ON l.latency_id = (
    SELECT y.latency_id FROM latencies y
    WHERE y.run_id = r.run_id AND y.backbone = t.backbone
        AND y.audio_seconds = t.audio_seconds AND y.reduction = t.reduction
    ORDER BY y.batch_size, COALESCE(y.quiet, 0) DESC,
        CASE WHEN y.quiet = 1 OR y.method LIKE '% in turns'
            THEN -y.latency_id ELSE y.latency_id END LIMIT 1)
LEFT JOIN devices m ON m.device_id = l.device_id
LEFT JOIN devices d ON d.device_id = r.device_id;
COMMIT;

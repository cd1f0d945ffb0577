-- Generated from prefect/_store/tables.py by `python -m prefect._store.schema --write`. Do not edit.

CREATE TABLE flow (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	tags TEXT NOT NULL,
	labels TEXT NOT NULL,
	CONSTRAINT pk_flow PRIMARY KEY (id),
	CONSTRAINT uq_flow__name UNIQUE (name)
);

CREATE TABLE log (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	name TEXT NOT NULL,
	level INTEGER NOT NULL,
	message TEXT NOT NULL,
	timestamp INTEGER NOT NULL,
	flow_run_id TEXT(36),
	task_run_id TEXT(36),
	worker_id TEXT(36),
	CONSTRAINT pk_log PRIMARY KEY (id)
);

CREATE INDEX ix_log__flow_run_id_timestamp ON log (flow_run_id, timestamp);

CREATE INDEX ix_log__task_run_id_timestamp ON log (task_run_id, timestamp) WHERE task_run_id IS NOT NULL;

CREATE TABLE owner (
	id TEXT(36) NOT NULL,
	host TEXT NOT NULL,
	boot_id TEXT NOT NULL,
	pid INTEGER NOT NULL,
	created INTEGER NOT NULL,
	CONSTRAINT pk_owner PRIMARY KEY (id)
);

CREATE TABLE flow_run (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	flow_id TEXT(36) NOT NULL,
	flow_version TEXT,
	deployment_id TEXT(36),
	deployment_version TEXT,
	work_queue_id TEXT(36),
	work_queue_name TEXT,
	infrastructure_document_id TEXT(36),
	infrastructure_pid TEXT,
	idempotency_key TEXT,
	parameters TEXT NOT NULL,
	context TEXT NOT NULL,
	empirical_policy TEXT NOT NULL,
	tags TEXT NOT NULL,
	labels TEXT NOT NULL,
	job_variables TEXT NOT NULL,
	parent_task_run_id TEXT(36),
	parent_flow_run_id TEXT(36),
	auto_scheduled BOOLEAN NOT NULL,
	created_by TEXT,
	state_id TEXT(36),
	state_type TEXT,
	state_name TEXT,
	state_timestamp INTEGER,
	run_count INTEGER NOT NULL,
	expected_start_time INTEGER,
	next_scheduled_start_time INTEGER,
	start_time INTEGER,
	end_time INTEGER,
	total_run_time INTEGER NOT NULL,
	owner TEXT(36),
	CONSTRAINT pk_flow_run PRIMARY KEY (id),
	CONSTRAINT uq_flow_run__flow_id_idempotency_key UNIQUE (flow_id, idempotency_key),
	CONSTRAINT fk_flow_run__flow_id FOREIGN KEY(flow_id) REFERENCES flow (id) ON DELETE CASCADE
);

CREATE INDEX ix_flow_run__expected_start_time ON flow_run (expected_start_time);

CREATE INDEX ix_flow_run__owner ON flow_run (owner) WHERE owner IS NOT NULL;

CREATE INDEX ix_flow_run__parent_flow_run_id ON flow_run (parent_flow_run_id) WHERE parent_flow_run_id IS NOT NULL;

CREATE INDEX ix_flow_run__parent_task_run_id ON flow_run (parent_task_run_id) WHERE parent_task_run_id IS NOT NULL;

CREATE INDEX ix_flow_run__state_type_expected_start_time ON flow_run (state_type, expected_start_time);

CREATE TABLE flow_run_state (
	id TEXT(36) NOT NULL,
	flow_run_id TEXT(36) NOT NULL,
	timestamp INTEGER NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	message TEXT,
	state_details TEXT NOT NULL,
	data TEXT,
	CONSTRAINT pk_flow_run_state PRIMARY KEY (flow_run_id, id),
	CONSTRAINT fk_flow_run_state__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE TABLE task_run (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	flow_run_id TEXT(36),
	task_key TEXT NOT NULL,
	dynamic_key TEXT NOT NULL,
	cache_key TEXT,
	cache_expiration INTEGER,
	task_version TEXT,
	flow_run_run_count INTEGER NOT NULL,
	empirical_policy TEXT NOT NULL,
	task_inputs TEXT NOT NULL,
	tags TEXT NOT NULL,
	labels TEXT NOT NULL,
	state_id TEXT(36),
	state_type TEXT,
	state_name TEXT,
	state_timestamp INTEGER,
	run_count INTEGER NOT NULL,
	expected_start_time INTEGER,
	next_scheduled_start_time INTEGER,
	start_time INTEGER,
	end_time INTEGER,
	total_run_time INTEGER NOT NULL,
	CONSTRAINT pk_task_run PRIMARY KEY (id),
	CONSTRAINT fk_task_run__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
);

CREATE INDEX ix_task_run__expected_start_time ON task_run (expected_start_time);

CREATE INDEX ix_task_run__flow_run_id ON task_run (flow_run_id);

CREATE TABLE task_run_state (
	id TEXT(36) NOT NULL,
	task_run_id TEXT(36) NOT NULL,
	timestamp INTEGER NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	message TEXT,
	state_details TEXT NOT NULL,
	data TEXT,
	CONSTRAINT pk_task_run_state PRIMARY KEY (task_run_id, id),
	CONSTRAINT fk_task_run_state__task_run_id FOREIGN KEY(task_run_id) REFERENCES task_run (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version (version_num) VALUES ('0001');

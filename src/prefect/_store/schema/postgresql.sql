-- Generated from prefect/_store/tables.py by `python -m prefect._store.schema --write`. Do not edit.

CREATE TABLE flow (
	id UUID NOT NULL,
	created TIMESTAMP WITH TIME ZONE NOT NULL,
	updated TIMESTAMP WITH TIME ZONE NOT NULL,
	name TEXT NOT NULL,
	tags JSONB NOT NULL,
	labels JSONB NOT NULL,
	CONSTRAINT pk_flow PRIMARY KEY (id),
	CONSTRAINT uq_flow__name UNIQUE (name)
);

CREATE TABLE log (
	id UUID NOT NULL,
	created TIMESTAMP WITH TIME ZONE NOT NULL,
	name TEXT NOT NULL,
	level INTEGER NOT NULL,
	message TEXT NOT NULL,
	timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
	flow_run_id UUID,
	task_run_id UUID,
	worker_id UUID,
	CONSTRAINT pk_log PRIMARY KEY (id)
);

CREATE INDEX ix_log__flow_run_id_timestamp ON log (flow_run_id, timestamp);

CREATE INDEX ix_log__task_run_id_timestamp ON log (task_run_id, timestamp) WHERE task_run_id IS NOT NULL;

CREATE TABLE owner (
	id UUID NOT NULL,
	host TEXT NOT NULL,
	boot_id TEXT NOT NULL,
	pid INTEGER NOT NULL,
	created TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_owner PRIMARY KEY (id)
);

CREATE TABLE flow_run (
	id UUID NOT NULL,
	created TIMESTAMP WITH TIME ZONE NOT NULL,
	updated TIMESTAMP WITH TIME ZONE NOT NULL,
	name TEXT NOT NULL,
	flow_id UUID NOT NULL,
	flow_version TEXT,
	deployment_id UUID,
	deployment_version TEXT,
	work_queue_id UUID,
	work_queue_name TEXT,
	infrastructure_document_id UUID,
	infrastructure_pid TEXT,
	idempotency_key TEXT,
	parameters JSONB NOT NULL,
	context JSONB NOT NULL,
	empirical_policy JSONB NOT NULL,
	tags JSONB NOT NULL,
	labels JSONB NOT NULL,
	job_variables JSONB NOT NULL,
	parent_task_run_id UUID,
	parent_flow_run_id UUID,
	auto_scheduled BOOLEAN NOT NULL,
	created_by JSONB,
	state_id UUID,
	state_type TEXT,
	state_name TEXT,
	state_timestamp TIMESTAMP WITH TIME ZONE,
	run_count INTEGER NOT NULL,
	expected_start_time TIMESTAMP WITH TIME ZONE,
	next_scheduled_start_time TIMESTAMP WITH TIME ZONE,
	start_time TIMESTAMP WITH TIME ZONE,
	end_time TIMESTAMP WITH TIME ZONE,
	total_run_time BIGINT NOT NULL,
	owner UUID,
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
	id UUID NOT NULL,
	flow_run_id UUID NOT NULL,
	timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	message TEXT,
	state_details JSONB NOT NULL,
	data JSONB,
	CONSTRAINT pk_flow_run_state PRIMARY KEY (flow_run_id, id),
	CONSTRAINT fk_flow_run_state__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
);

CREATE TABLE task_run (
	id UUID NOT NULL,
	created TIMESTAMP WITH TIME ZONE NOT NULL,
	updated TIMESTAMP WITH TIME ZONE NOT NULL,
	name TEXT NOT NULL,
	flow_run_id UUID,
	task_key TEXT NOT NULL,
	dynamic_key TEXT NOT NULL,
	cache_key TEXT,
	cache_expiration TIMESTAMP WITH TIME ZONE,
	task_version TEXT,
	flow_run_run_count INTEGER NOT NULL,
	empirical_policy JSONB NOT NULL,
	task_inputs JSONB NOT NULL,
	tags JSONB NOT NULL,
	labels JSONB NOT NULL,
	state_id UUID,
	state_type TEXT,
	state_name TEXT,
	state_timestamp TIMESTAMP WITH TIME ZONE,
	run_count INTEGER NOT NULL,
	expected_start_time TIMESTAMP WITH TIME ZONE,
	next_scheduled_start_time TIMESTAMP WITH TIME ZONE,
	start_time TIMESTAMP WITH TIME ZONE,
	end_time TIMESTAMP WITH TIME ZONE,
	total_run_time BIGINT NOT NULL,
	CONSTRAINT pk_task_run PRIMARY KEY (id),
	CONSTRAINT fk_task_run__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
);

CREATE INDEX ix_task_run__expected_start_time ON task_run (expected_start_time);

CREATE INDEX ix_task_run__flow_run_id ON task_run (flow_run_id);

CREATE TABLE task_run_state (
	id UUID NOT NULL,
	task_run_id UUID NOT NULL,
	timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	message TEXT,
	state_details JSONB NOT NULL,
	data JSONB,
	CONSTRAINT pk_task_run_state PRIMARY KEY (task_run_id, id),
	CONSTRAINT fk_task_run_state__task_run_id FOREIGN KEY(task_run_id) REFERENCES task_run (id) ON DELETE CASCADE
);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version (version_num) VALUES ('0001');

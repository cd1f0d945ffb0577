-- Generated from prefect/_store/tables/ by `python -m prefect._store.schema --write`. Do not edit.

CREATE TABLE artifact (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	"key" TEXT,
	type TEXT,
	description TEXT,
	data TEXT,
	metadata_ TEXT,
	flow_run_id TEXT(36),
	task_run_id TEXT(36),
	CONSTRAINT pk_artifact PRIMARY KEY (id)
);

CREATE INDEX ix_artifact__flow_run_id ON artifact (flow_run_id) WHERE flow_run_id IS NOT NULL;

CREATE INDEX ix_artifact__key_id ON artifact ("key", id) WHERE "key" IS NOT NULL;

CREATE INDEX ix_artifact__task_run_id ON artifact (task_run_id) WHERE task_run_id IS NOT NULL;

CREATE TABLE automation (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	tags TEXT NOT NULL,
	"trigger" TEXT NOT NULL,
	actions TEXT NOT NULL,
	actions_on_trigger TEXT NOT NULL,
	actions_on_resolve TEXT NOT NULL,
	owner_resource TEXT,
	place TEXT NOT NULL,
	enabled_at INTEGER NOT NULL,
	CONSTRAINT pk_automation PRIMARY KEY (id)
);

CREATE INDEX ix_automation__name ON automation (name);

CREATE INDEX ix_automation__owner_resource ON automation (owner_resource) WHERE owner_resource IS NOT NULL;

CREATE TABLE automation_action (
	id TEXT(36) NOT NULL,
	automation_id TEXT(36) NOT NULL,
	invocation TEXT NOT NULL,
	due INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	CONSTRAINT pk_automation_action PRIMARY KEY (id)
);

CREATE INDEX ix_automation_action__due ON automation_action (due);

CREATE TABLE automation_progress (
	id INTEGER NOT NULL,
	place TEXT NOT NULL,
	CONSTRAINT pk_automation_progress PRIMARY KEY (id)
);

CREATE TABLE block_type (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	slug TEXT NOT NULL,
	logo_url TEXT,
	documentation_url TEXT,
	description TEXT,
	code_example TEXT,
	is_protected BOOLEAN NOT NULL,
	CONSTRAINT pk_block_type PRIMARY KEY (id),
	CONSTRAINT uq_block_type__name UNIQUE (name),
	CONSTRAINT uq_block_type__slug UNIQUE (slug)
);

CREATE TABLE concurrency_lease (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER,
	holder_type TEXT,
	holder_id TEXT(36),
	CONSTRAINT pk_concurrency_lease PRIMARY KEY (id)
);

CREATE INDEX ix_concurrency_lease__expires ON concurrency_lease (expires) WHERE expires IS NOT NULL;

CREATE INDEX ix_concurrency_lease__holder_id ON concurrency_lease (holder_id) WHERE holder_id IS NOT NULL;

CREATE TABLE concurrency_limit (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	"limit" INTEGER NOT NULL,
	active BOOLEAN NOT NULL,
	open_slots DOUBLE NOT NULL,
	open_slots_at INTEGER NOT NULL,
	slot_decay_per_second DOUBLE NOT NULL,
	avg_slot_occupancy_seconds DOUBLE NOT NULL,
	denied_slots INTEGER NOT NULL,
	CONSTRAINT pk_concurrency_limit PRIMARY KEY (id),
	CONSTRAINT uq_concurrency_limit__name UNIQUE (name)
);

CREATE TABLE configuration (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_configuration PRIMARY KEY (id),
	CONSTRAINT uq_configuration__key UNIQUE ("key")
);

CREATE TABLE csrf_token (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	token TEXT NOT NULL,
	client TEXT NOT NULL,
	expiration INTEGER NOT NULL,
	CONSTRAINT pk_csrf_token PRIMARY KEY (id),
	CONSTRAINT uq_csrf_token__client UNIQUE (client)
);

CREATE TABLE event (
	id TEXT(36) NOT NULL,
	occurred INTEGER NOT NULL,
	event TEXT NOT NULL,
	resource_id TEXT NOT NULL,
	payload TEXT NOT NULL,
	follows TEXT(36),
	received INTEGER NOT NULL,
	xid BIGINT DEFAULT NULL,
	CONSTRAINT pk_event PRIMARY KEY (id)
);

CREATE INDEX ix_event__event_occurred ON event (event, occurred);

CREATE INDEX ix_event__occurred ON event (occurred);

CREATE INDEX ix_event__resource_id_occurred ON event (resource_id, occurred);

CREATE INDEX ix_event__xid_occurred_id ON event (xid, occurred, id) WHERE xid IS NOT NULL;

CREATE TABLE event_resource (
	event_id TEXT(36) NOT NULL,
	position INTEGER NOT NULL,
	resource_id TEXT NOT NULL,
	role TEXT NOT NULL,
	labels TEXT NOT NULL,
	occurred INTEGER NOT NULL,
	CONSTRAINT pk_event_resource PRIMARY KEY (event_id, position)
)
 WITHOUT ROWID;

CREATE INDEX ix_event_resource__resource_id_occurred ON event_resource (resource_id, occurred);

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
	xid BIGINT DEFAULT NULL,
	CONSTRAINT pk_log PRIMARY KEY (id)
);

CREATE INDEX ix_log__flow_run_id_timestamp ON log (flow_run_id, timestamp);

CREATE INDEX ix_log__task_run_id_timestamp ON log (task_run_id, timestamp) WHERE task_run_id IS NOT NULL;

CREATE INDEX ix_log__xid_timestamp_id ON log (xid, timestamp, id) WHERE xid IS NOT NULL;

CREATE TABLE owner (
	id TEXT(36) NOT NULL,
	host TEXT NOT NULL,
	boot_id TEXT NOT NULL,
	pid INTEGER NOT NULL,
	created INTEGER NOT NULL,
	CONSTRAINT pk_owner PRIMARY KEY (id)
);

CREATE TABLE readiness (
	id TEXT(36) NOT NULL,
	kind TEXT NOT NULL,
	event_id TEXT(36),
	CONSTRAINT pk_readiness PRIMARY KEY (id)
);

CREATE TABLE saved_search (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	filters TEXT NOT NULL,
	CONSTRAINT pk_saved_search PRIMARY KEY (id),
	CONSTRAINT uq_saved_search__name UNIQUE (name)
);

CREATE TABLE task_run_subscriber (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	identifier TEXT NOT NULL,
	task_keys TEXT NOT NULL,
	expires INTEGER NOT NULL,
	CONSTRAINT pk_task_run_subscriber PRIMARY KEY (id)
);

CREATE TABLE variable (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	value TEXT,
	tags TEXT NOT NULL,
	CONSTRAINT pk_variable PRIMARY KEY (id),
	CONSTRAINT uq_variable__name UNIQUE (name)
);

CREATE TABLE work_pool (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	description TEXT,
	type TEXT NOT NULL,
	base_job_template TEXT NOT NULL,
	is_paused BOOLEAN NOT NULL,
	concurrency_limit INTEGER,
	storage_configuration TEXT NOT NULL,
	default_queue_id TEXT(36),
	CONSTRAINT pk_work_pool PRIMARY KEY (id),
	CONSTRAINT uq_work_pool__name UNIQUE (name)
);

CREATE TABLE artifact_collection (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	"key" TEXT NOT NULL,
	latest_id TEXT(36) NOT NULL,
	CONSTRAINT pk_artifact_collection PRIMARY KEY (id),
	CONSTRAINT uq_artifact_collection__key UNIQUE ("key"),
	CONSTRAINT uq_artifact_collection__latest_id UNIQUE (latest_id),
	CONSTRAINT fk_artifact_collection__latest_id FOREIGN KEY(latest_id) REFERENCES artifact (id) ON DELETE CASCADE
);

CREATE TABLE automation_count (
	automation_id TEXT(36) NOT NULL,
	trigger_id TEXT(36) NOT NULL,
	"key" TEXT NOT NULL,
	state TEXT NOT NULL,
	due INTEGER,
	expires INTEGER,
	CONSTRAINT pk_automation_count PRIMARY KEY (automation_id, trigger_id, "key"),
	CONSTRAINT fk_automation_count__automation_id FOREIGN KEY(automation_id) REFERENCES automation (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_automation_count__due ON automation_count (due) WHERE due IS NOT NULL;

CREATE INDEX ix_automation_count__expires ON automation_count (expires) WHERE expires IS NOT NULL;

CREATE TABLE automation_resource (
	automation_id TEXT(36) NOT NULL,
	resource_id TEXT NOT NULL,
	CONSTRAINT pk_automation_resource PRIMARY KEY (automation_id, resource_id),
	CONSTRAINT fk_automation_resource__automation_id FOREIGN KEY(automation_id) REFERENCES automation (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_automation_resource__resource_id ON automation_resource (resource_id);

CREATE TABLE block_schema (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	checksum TEXT NOT NULL,
	fields TEXT NOT NULL,
	block_type_id TEXT(36) NOT NULL,
	capabilities TEXT NOT NULL,
	version TEXT NOT NULL,
	CONSTRAINT pk_block_schema PRIMARY KEY (id),
	CONSTRAINT uq_block_schema__checksum_version UNIQUE (checksum, version),
	CONSTRAINT fk_block_schema__block_type_id FOREIGN KEY(block_type_id) REFERENCES block_type (id) ON DELETE CASCADE
);

CREATE INDEX ix_block_schema__block_type_id ON block_schema (block_type_id);

CREATE TABLE cleanup_message (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	work_pool_id TEXT(36) NOT NULL,
	work_queue_id TEXT(36),
	kind TEXT NOT NULL,
	flow_run_id TEXT(36) NOT NULL,
	target TEXT NOT NULL,
	data TEXT NOT NULL,
	delivery_count INTEGER NOT NULL,
	reservation_token TEXT,
	reserved_until INTEGER,
	dead_since INTEGER,
	CONSTRAINT pk_cleanup_message PRIMARY KEY (id),
	CONSTRAINT uq_cleanup_message__work_pool_id_kind_flow_run_id UNIQUE (work_pool_id, kind, flow_run_id),
	CONSTRAINT fk_cleanup_message__work_pool_id FOREIGN KEY(work_pool_id) REFERENCES work_pool (id) ON DELETE CASCADE
);

CREATE TABLE concurrency_slot (
	limit_id TEXT(36) NOT NULL,
	lease_id TEXT(36) NOT NULL,
	slots INTEGER NOT NULL,
	CONSTRAINT pk_concurrency_slot PRIMARY KEY (limit_id, lease_id),
	CONSTRAINT fk_concurrency_slot__limit_id FOREIGN KEY(limit_id) REFERENCES concurrency_limit (id) ON DELETE CASCADE,
	CONSTRAINT fk_concurrency_slot__lease_id FOREIGN KEY(lease_id) REFERENCES concurrency_lease (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_concurrency_slot__lease_id ON concurrency_slot (lease_id);

CREATE TABLE concurrency_waiter (
	limit_id TEXT(36) NOT NULL,
	waiter_id TEXT(36) NOT NULL,
	slots INTEGER NOT NULL,
	since INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	CONSTRAINT pk_concurrency_waiter PRIMARY KEY (limit_id, waiter_id),
	CONSTRAINT fk_concurrency_waiter__limit_id FOREIGN KEY(limit_id) REFERENCES concurrency_limit (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_concurrency_waiter__waiter_id ON concurrency_waiter (waiter_id);

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

CREATE INDEX ix_flow_run__by_state ON flow_run (state_type, expected_start_time, state_name, start_time, total_run_time, state_timestamp);

CREATE INDEX ix_flow_run__deployment_id_next_scheduled_start_time ON flow_run (deployment_id, next_scheduled_start_time) WHERE deployment_id IS NOT NULL;

CREATE INDEX ix_flow_run__due ON flow_run (work_queue_id, next_scheduled_start_time, deployment_id) WHERE next_scheduled_start_time IS NOT NULL;

CREATE INDEX ix_flow_run__end_time ON flow_run (end_time) WHERE end_time IS NOT NULL;

CREATE INDEX ix_flow_run__expected ON flow_run (expected_start_time, id, parent_task_run_id, work_queue_id);

CREATE INDEX ix_flow_run__owner ON flow_run (owner) WHERE owner IS NOT NULL;

CREATE INDEX ix_flow_run__parent_flow_run_id ON flow_run (parent_flow_run_id) WHERE parent_flow_run_id IS NOT NULL;

CREATE INDEX ix_flow_run__parent_task_run_id ON flow_run (parent_task_run_id) WHERE parent_task_run_id IS NOT NULL;

CREATE INDEX ix_flow_run__started ON flow_run (coalesce(start_time, expected_start_time));

CREATE INDEX ix_flow_run__started_by_state ON flow_run (state_type, coalesce(start_time, expected_start_time)) WHERE coalesce(start_time, expected_start_time) IS NOT NULL;

CREATE TABLE work_queue (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	work_pool_id TEXT(36) NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	is_paused BOOLEAN NOT NULL,
	concurrency_limit INTEGER,
	priority INTEGER NOT NULL,
	filter TEXT,
	last_polled INTEGER,
	CONSTRAINT pk_work_queue PRIMARY KEY (id),
	CONSTRAINT uq_work_queue__work_pool_id_name UNIQUE (work_pool_id, name),
	CONSTRAINT fk_work_queue__work_pool_id FOREIGN KEY(work_pool_id) REFERENCES work_pool (id) ON DELETE CASCADE
);

CREATE TABLE worker (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	work_pool_id TEXT(36) NOT NULL,
	name TEXT NOT NULL,
	heartbeat_interval_seconds INTEGER,
	last_heartbeat_time INTEGER NOT NULL,
	offline_at INTEGER NOT NULL,
	metadata TEXT,
	CONSTRAINT pk_worker PRIMARY KEY (id),
	CONSTRAINT uq_worker__work_pool_id_name UNIQUE (work_pool_id, name),
	CONSTRAINT fk_worker__work_pool_id FOREIGN KEY(work_pool_id) REFERENCES work_pool (id) ON DELETE CASCADE
);

CREATE TABLE block_document (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	data TEXT NOT NULL,
	block_schema_id TEXT(36) NOT NULL,
	block_type_id TEXT(36) NOT NULL,
	is_anonymous BOOLEAN NOT NULL,
	CONSTRAINT pk_block_document PRIMARY KEY (id),
	CONSTRAINT uq_block_document__block_type_id_name UNIQUE (block_type_id, name),
	CONSTRAINT fk_block_document__block_schema_id FOREIGN KEY(block_schema_id) REFERENCES block_schema (id) ON DELETE CASCADE,
	CONSTRAINT fk_block_document__block_type_id FOREIGN KEY(block_type_id) REFERENCES block_type (id) ON DELETE CASCADE
);

CREATE INDEX ix_block_document__block_schema_id ON block_document (block_schema_id);

CREATE TABLE deployment (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	name TEXT NOT NULL,
	flow_id TEXT(36) NOT NULL,
	version TEXT,
	version_info TEXT,
	description TEXT,
	paused BOOLEAN NOT NULL,
	concurrency_options TEXT,
	job_variables TEXT NOT NULL,
	parameters TEXT NOT NULL,
	parameter_openapi_schema TEXT NOT NULL,
	enforce_parameter_schema BOOLEAN NOT NULL,
	pull_steps TEXT NOT NULL,
	tags TEXT NOT NULL,
	labels TEXT NOT NULL,
	work_queue_id TEXT(36),
	work_queue_name TEXT,
	last_polled INTEGER,
	path TEXT,
	entrypoint TEXT,
	storage_document_id TEXT(36),
	infrastructure_document_id TEXT(36),
	created_by TEXT,
	updated_by TEXT,
	concurrency_limit_id TEXT(36),
	CONSTRAINT pk_deployment PRIMARY KEY (id),
	CONSTRAINT uq_deployment__flow_id_name UNIQUE (flow_id, name),
	CONSTRAINT fk_deployment__flow_id FOREIGN KEY(flow_id) REFERENCES flow (id) ON DELETE CASCADE,
	CONSTRAINT fk_deployment__work_queue_id FOREIGN KEY(work_queue_id) REFERENCES work_queue (id) ON DELETE SET NULL
);

CREATE INDEX ix_deployment__concurrency_limit_id ON deployment (concurrency_limit_id) WHERE concurrency_limit_id IS NOT NULL;

CREATE INDEX ix_deployment__work_queue_id ON deployment (work_queue_id) WHERE work_queue_id IS NOT NULL;

CREATE TABLE flow_run_input (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	flow_run_id TEXT(36) NOT NULL,
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	sender TEXT,
	CONSTRAINT pk_flow_run_input PRIMARY KEY (id),
	CONSTRAINT uq_flow_run_input__flow_run_id_key UNIQUE (flow_run_id, "key"),
	CONSTRAINT fk_flow_run_input__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
);

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

CREATE TABLE run_lease (
	flow_run_id TEXT(36) NOT NULL,
	token BIGINT NOT NULL,
	holder_kind TEXT NOT NULL,
	holder_id TEXT(36) NOT NULL,
	holder_name TEXT,
	claimed_at INTEGER NOT NULL,
	renewed_at INTEGER NOT NULL,
	expires INTEGER,
	claims INTEGER NOT NULL,
	CONSTRAINT pk_run_lease PRIMARY KEY (flow_run_id),
	CONSTRAINT fk_run_lease__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
);

CREATE INDEX ix_run_lease__expires ON run_lease (expires) WHERE expires IS NOT NULL;

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

CREATE INDEX ix_task_run__expected ON task_run (expected_start_time, state_type, state_name, start_time, total_run_time, state_timestamp);

CREATE INDEX ix_task_run__flow_run_id ON task_run (flow_run_id);

CREATE INDEX ix_task_run__open ON task_run (flow_run_id) WHERE flow_run_id IS NOT NULL AND end_time IS NULL;

CREATE INDEX ix_task_run__scheduled ON task_run (task_key, next_scheduled_start_time) WHERE next_scheduled_start_time IS NOT NULL;

CREATE INDEX ix_task_run__started ON task_run (start_time, state_type) WHERE start_time IS NOT NULL;

CREATE TABLE backfill (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	deployment_id TEXT(36) NOT NULL,
	schedule_id TEXT(36),
	schedule TEXT NOT NULL,
	range_start INTEGER NOT NULL,
	range_end INTEGER NOT NULL,
	concurrency INTEGER NOT NULL,
	skip_existing BOOLEAN NOT NULL,
	parameters TEXT NOT NULL,
	position INTEGER,
	status TEXT NOT NULL,
	CONSTRAINT pk_backfill PRIMARY KEY (id),
	CONSTRAINT fk_backfill__deployment_id FOREIGN KEY(deployment_id) REFERENCES deployment (id) ON DELETE CASCADE
);

CREATE INDEX ix_backfill__deployment_id ON backfill (deployment_id);

CREATE TABLE block_document_reference (
	parent_block_document_id TEXT(36) NOT NULL,
	name TEXT NOT NULL,
	reference_block_document_id TEXT(36) NOT NULL,
	CONSTRAINT pk_block_document_reference PRIMARY KEY (parent_block_document_id, name),
	CONSTRAINT fk_block_document_reference__parent_block_document_id FOREIGN KEY(parent_block_document_id) REFERENCES block_document (id) ON DELETE CASCADE,
	CONSTRAINT fk_block_document_reference__reference_block_document_id FOREIGN KEY(reference_block_document_id) REFERENCES block_document (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_block_document_reference__reference_block_document_id ON block_document_reference (reference_block_document_id);

CREATE TABLE deferred_run (
	task_run_id TEXT(36) NOT NULL,
	task_key TEXT NOT NULL,
	place TEXT NOT NULL,
	due BIGINT NOT NULL,
	owner TEXT,
	claims INTEGER NOT NULL,
	unbegun INTEGER NOT NULL,
	waits_for TEXT NOT NULL,
	dependencies TEXT NOT NULL,
	parameters TEXT,
	CONSTRAINT pk_deferred_run PRIMARY KEY (task_run_id),
	CONSTRAINT fk_deferred_run__task_run_id FOREIGN KEY(task_run_id) REFERENCES task_run (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_deferred_run__due ON deferred_run (due, task_run_id) WHERE owner IS NULL;

CREATE INDEX ix_deferred_run__owner ON deferred_run (owner) WHERE owner IS NOT NULL;

CREATE INDEX ix_deferred_run__waiting ON deferred_run (task_run_id) WHERE waits_for != '[]';

CREATE TABLE deployment_schedule (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	deployment_id TEXT(36) NOT NULL,
	schedule TEXT NOT NULL,
	active BOOLEAN NOT NULL,
	max_scheduled_runs INTEGER,
	parameters TEXT NOT NULL,
	slug TEXT,
	catch_up TEXT,
	CONSTRAINT pk_deployment_schedule PRIMARY KEY (id),
	CONSTRAINT uq_deployment_schedule__deployment_id_slug UNIQUE (deployment_id, slug),
	CONSTRAINT fk_deployment_schedule__deployment_id FOREIGN KEY(deployment_id) REFERENCES deployment (id) ON DELETE CASCADE
);

CREATE TABLE deployment_version (
	id TEXT(36) NOT NULL,
	created INTEGER NOT NULL,
	deployment_id TEXT(36) NOT NULL,
	number INTEGER NOT NULL,
	restored INTEGER,
	content TEXT NOT NULL,
	CONSTRAINT pk_deployment_version PRIMARY KEY (id),
	CONSTRAINT uq_deployment_version__deployment_id_number UNIQUE (deployment_id, number),
	CONSTRAINT fk_deployment_version__deployment_id FOREIGN KEY(deployment_id) REFERENCES deployment (id) ON DELETE CASCADE
);

CREATE TABLE task_run_delivery (
	task_run_id TEXT(36) NOT NULL,
	subscriber_id TEXT(36) NOT NULL,
	CONSTRAINT pk_task_run_delivery PRIMARY KEY (task_run_id),
	CONSTRAINT fk_task_run_delivery__task_run_id FOREIGN KEY(task_run_id) REFERENCES task_run (id) ON DELETE CASCADE,
	CONSTRAINT fk_task_run_delivery__subscriber_id FOREIGN KEY(subscriber_id) REFERENCES task_run_subscriber (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_task_run_delivery__subscriber_id ON task_run_delivery (subscriber_id);

CREATE TABLE task_run_lease (
	task_run_id TEXT(36) NOT NULL,
	token BIGINT NOT NULL,
	holder_name TEXT NOT NULL,
	expires INTEGER,
	unbegun INTEGER NOT NULL,
	CONSTRAINT pk_task_run_lease PRIMARY KEY (task_run_id),
	CONSTRAINT fk_task_run_lease__task_run_id FOREIGN KEY(task_run_id) REFERENCES task_run (id) ON DELETE CASCADE
);

CREATE INDEX ix_task_run_lease__expires ON task_run_lease (expires) WHERE expires IS NOT NULL;

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

CREATE TABLE backfill_run (
	backfill_id TEXT(36) NOT NULL,
	instant INTEGER NOT NULL,
	flow_run_id TEXT(36) NOT NULL,
	CONSTRAINT pk_backfill_run PRIMARY KEY (backfill_id, instant),
	CONSTRAINT fk_backfill_run__backfill_id FOREIGN KEY(backfill_id) REFERENCES backfill (id) ON DELETE CASCADE,
	CONSTRAINT fk_backfill_run__flow_run_id FOREIGN KEY(flow_run_id) REFERENCES flow_run (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX ix_backfill_run__flow_run_id ON backfill_run (flow_run_id);

CREATE TABLE schedule_progress (
	schedule_id TEXT(36) NOT NULL,
	made_until INTEGER,
	looked_at INTEGER NOT NULL,
	look_again INTEGER NOT NULL,
	CONSTRAINT pk_schedule_progress PRIMARY KEY (schedule_id),
	CONSTRAINT fk_schedule_progress__schedule_id FOREIGN KEY(schedule_id) REFERENCES deployment_schedule (id) ON DELETE CASCADE
);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version (version_num) VALUES ('0019');

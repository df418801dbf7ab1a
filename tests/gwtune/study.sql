-- GWTune (9d9eead) with Optuna 5.0.0 and POT 0.9.7: the colours of Ekman (1954) against their chromaticities, 8 trials of 2 starts,
-- eps_list [0.002, 0.2], max_iter 60, tol 1e-5, sampler random (42), pruner median. Dumped by sqlite3.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'colours_judged_vs_measured_random');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,7.26990300475924278167e-02,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,5.68488997807541293627e-02,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,0,1.63479206290087608621e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,3,0,8.77318363201504414217e-02,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,4,0,0.0771534707502694,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,5,0,9.26296253455797108378e-02,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,6,0,8.44571498215100635587e-02,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,7,0,0.0450925456237659,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,7,1,1.20784649553756812112e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,8,0,1.17115961016082140155e-01,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'eps',1.12230328306690049083e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(2,2,'eps',1.59389096372878596996e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(3,3,'eps',5.82127182626613753901e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(4,4,'eps',3.15026409995594405821e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(5,5,'eps',4.10267652617489920335e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(6,6,'eps',4.10222083768679423448e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(7,7,'eps',2.61334784761065551383e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
INSERT INTO "trial_params" VALUES(8,8,'eps',1.07989688195748598231e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.002, "high": 0.2, "log": true}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(2,1,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(3,1,'best_acc','0.0');
INSERT INTO "trial_user_attributes" VALUES(4,1,'error','8.658070004859183e-06');
INSERT INTO "trial_user_attributes" VALUES(5,1,'best_iter','1');
INSERT INTO "trial_user_attributes" VALUES(6,1,'best_seed','80299');
INSERT INTO "trial_user_attributes" VALUES(7,1,'elapsed_time','2.6437792778015137');
INSERT INTO "trial_user_attributes" VALUES(8,1,'iteration','11');
INSERT INTO "trial_user_attributes" VALUES(9,2,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(10,2,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(11,2,'best_acc','0.07142857142857142');
INSERT INTO "trial_user_attributes" VALUES(12,2,'error','2.5989148724374522e-06');
INSERT INTO "trial_user_attributes" VALUES(13,2,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(14,2,'best_seed','3737');
INSERT INTO "trial_user_attributes" VALUES(15,2,'elapsed_time','0.4273648262023926');
INSERT INTO "trial_user_attributes" VALUES(16,3,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(17,3,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(18,3,'best_acc','0.0');
INSERT INTO "trial_user_attributes" VALUES(19,3,'error','4.83537290220496e-06');
INSERT INTO "trial_user_attributes" VALUES(20,3,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(21,3,'best_seed','94724');
INSERT INTO "trial_user_attributes" VALUES(22,3,'elapsed_time','1.5084669589996338');
INSERT INTO "trial_user_attributes" VALUES(23,4,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(24,4,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(25,4,'best_acc','0.0');
INSERT INTO "trial_user_attributes" VALUES(26,4,'error','2.6992139401116026e-06');
INSERT INTO "trial_user_attributes" VALUES(27,4,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(28,4,'best_seed','83897');
INSERT INTO "trial_user_attributes" VALUES(29,4,'elapsed_time','2.435067653656006');
INSERT INTO "trial_user_attributes" VALUES(30,5,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(31,5,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(32,5,'best_acc','0.14285714285714285');
INSERT INTO "trial_user_attributes" VALUES(33,5,'error','6.015701859141564e-06');
INSERT INTO "trial_user_attributes" VALUES(34,5,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(35,5,'best_seed','8654');
INSERT INTO "trial_user_attributes" VALUES(36,5,'elapsed_time','2.331387758255005');
INSERT INTO "trial_user_attributes" VALUES(37,6,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(38,6,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(39,6,'best_acc','0.14285714285714285');
INSERT INTO "trial_user_attributes" VALUES(40,6,'error','4.819193121251327e-09');
INSERT INTO "trial_user_attributes" VALUES(41,6,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(42,6,'best_seed','53121');
INSERT INTO "trial_user_attributes" VALUES(43,6,'elapsed_time','1.803497552871704');
INSERT INTO "trial_user_attributes" VALUES(44,7,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(45,7,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(46,7,'best_acc','0.7857142857142857');
INSERT INTO "trial_user_attributes" VALUES(47,7,'error','4.245192375230949e-11');
INSERT INTO "trial_user_attributes" VALUES(48,7,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(49,7,'best_seed','82315');
INSERT INTO "trial_user_attributes" VALUES(50,7,'elapsed_time','1.5273380279541016');
INSERT INTO "trial_user_attributes" VALUES(51,7,'iteration','21');
INSERT INTO "trial_user_attributes" VALUES(52,8,'source_size','14');
INSERT INTO "trial_user_attributes" VALUES(53,8,'target_size','14');
INSERT INTO "trial_user_attributes" VALUES(54,8,'best_acc','0.0');
INSERT INTO "trial_user_attributes" VALUES(55,8,'error','2.1061556640576024e-06');
INSERT INTO "trial_user_attributes" VALUES(56,8,'best_iter','0');
INSERT INTO "trial_user_attributes" VALUES(57,8,'best_seed','25769');
INSERT INTO "trial_user_attributes" VALUES(58,8,'elapsed_time','0.8175027370452881');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,5.68488997807541293627e-02,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,1.63479206290087608621e-01,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,8.77318363201504414217e-02,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,0.0771534707502694,'FINITE');
INSERT INTO "trial_values" VALUES(5,5,0,9.26296253455797108378e-02,'FINITE');
INSERT INTO "trial_values" VALUES(6,6,0,8.44571498215100635587e-02,'FINITE');
INSERT INTO "trial_values" VALUES(7,7,0,0.0450925456237659,'FINITE');
INSERT INTO "trial_values" VALUES(8,8,0,1.17115961016082140155e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-25 18:23:00.516958','2026-11-25 18:23:04.884603');
INSERT INTO "trials" VALUES(2,1,1,'PRUNED','2026-11-25 18:23:05.047422','2026-11-25 18:23:05.849318');
INSERT INTO "trials" VALUES(3,2,1,'PRUNED','2026-11-25 18:23:05.928326','2026-11-25 18:23:07.753603');
INSERT INTO "trials" VALUES(4,3,1,'PRUNED','2026-11-25 18:23:07.815287','2026-11-25 18:23:10.609172');
INSERT INTO "trials" VALUES(5,4,1,'PRUNED','2026-11-25 18:23:10.682598','2026-11-25 18:23:13.317180');
INSERT INTO "trials" VALUES(6,5,1,'PRUNED','2026-11-25 18:23:13.380850','2026-11-25 18:23:15.505300');
INSERT INTO "trials" VALUES(7,6,1,'COMPLETE','2026-11-25 18:23:15.589400','2026-11-25 18:23:21.272740');
INSERT INTO "trials" VALUES(8,7,1,'PRUNED','2026-11-25 18:23:21.338710','2026-11-25 18:23:22.672904');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "executions" (
    "id" VARCHAR(64) NOT NULL PRIMARY KEY,
    "user_id" VARCHAR(64) NOT NULL,
    "user" JSON NOT NULL,
    "status" VARCHAR(16) NOT NULL,
    "workflow_name" VARCHAR(300),
    "project_id" VARCHAR(300),
    "submitted_at" BIGINT NOT NULL,
    "started_at" BIGINT,
    "completed_at" BIGINT,
    "error_info" JSON,
    "warnings" JSON NOT NULL,
    "payload" TEXT NOT NULL,
    "last_seq" INT NOT NULL,
    "complete" INT NOT NULL,
    "starts" INT NOT NULL
) /* An execution, from its submission on. Times are milliseconds since 1970, UTC. */;
CREATE INDEX IF NOT EXISTS "idx_executions_status_eaced1" ON "executions" ("status");
CREATE INDEX IF NOT EXISTS "idx_executions_user_id_977f05" ON "executions" ("user_id", "submitted_at");
CREATE TABLE IF NOT EXISTS "execution_events" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "first_seq" INT NOT NULL,
    "last_seq" INT NOT NULL,
    "lines" BLOB NOT NULL,
    "inexact" JSON NOT NULL,
    "execution_id" VARCHAR(64) NOT NULL REFERENCES "executions" ("id") ON DELETE CASCADE
) /* Some events of an execution that follow each other: their messages, a line each, compressed. */;
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSON NOT NULL
);"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        """


MODELS_STATE = (
    "eJztmm1z2jgQx7+Kxq/uZrgMT4W07zBHermmMEPoTTudjkfYMuiQJUeSS5ge3/0kG2P8WE"
    "hCEjq8C6tdWfx2s/pb4ocxx0IyvroYfEdUmoTZC+Md+GFQ6CH1R9FwDRjQ93cGtUXCKQkD"
    "0D2yA4kZtZAOEaH7VEgObanGXUgEUiYHCZtjXzvqqFvmIRAFAOYCSMF2HiDnUAKXEcKWAE"
    "F7DpicI/5O2RHmwENCwBkSNQABwRSFLjVgM8/nagg5F3oFDrPVEjCdPcfDAorvAmRJNkM6"
    "WD3y6zdlxtRRzxHxR39huRgRJ4UbO3qC0G7JlR/arqm8Ch3195haNiOBRxNnfyXninbsja"
    "nU1hmiiEOJ9PSSBxo5DQjZZCnOQrTSxCVa4k6Mg1wYEJ04HR0tILEZljUcTazbwcSyjFxS"
    "44gd9BuTzaguCKzLQ3/7mV7CH81Gu9u+bHXal8olXObW0l1Hj07ARIEhnuHEWIfjUMLII2"
    "ScQHUxF9IS6O4AtqmYnyOOgVYxjg0J5OSf4WQoJ1QJPBjqbsiZaRFT1VNEHqiJKeSrEqZx"
    "SAbodCUj+4khreBl3oxMPbMnxB3Rhn96Y/N62Bt/+e1j7/Pv4dBqM3QzGr6P/X0m5IyHEx"
    "nml8mgl6GuCN7r3SnH/e/b0bCk9SYhGe4OtiX4T+0O4hQLuoK+hpGiP1T4+3/1xlv4TO3x"
    "kQgY9gvQ6wnMDPpELRTtfP055MX8s3GZJKivdILwDQ/eWwTRmZyrj512RTJi9J12lvxmpB"
    "kOrddaabiLwm1xyzAP/opxhGf0A4qazrVaJqQ2KiC91YfxZGO2PEH067jAYmsigThcboVa"
    "ru7UHw4iSEbl2rvt9/4cGCH0KbQXS8gdK0Vfj7Amy1i2vvkhr+llLZAqCepsvopeeGEOCk"
    "V8Jkn7yPg9BXxvR0TXgMuZB7CS1yKYelgIrawZvQATrBQ0gBwBDxPVIpEC7igvrIoLNN52"
    "6zXwadLPK/Ynn/3nEv2rEQjEN2kOHyRVNVtQGt8OUu/lPewpO9fL6vcj9K0qPb+TmH1Z74"
    "Sct4pS5GnEh+ih2P8shh4hhtQmK4MC+V9e1knEsar65fpIo7NHUTc6pUWth9J8l4wvXMKW"
    "Vmg4AHMu8EG0NyhfS3Wnabfq9T1wK69S3uFYGrjP2b/Ilgf26nTUGfVeqFMKJQfbxLPSQ5"
    "ls5K90MPO22Wy1us16q3P5pt3tvrmsb09o8kNVRzXm9Xt9WpPKR/74RrVj/qAUpOIelIDX"
    "VvEvwl+fw+uXscMzkI085+ChOUCcMyW1qcsO0Y/pqEepyFeWhecWkUvIqVpPgYwsp78bc1"
    "bwj4DvwxVhsEDtTNB9SefZCfkl3kwrkE8GnyfVyFPH97F7Ng8neg1VP26bf7I7qHgrLNhA"
    "GSMI0uodtOgqSsUdi2r8fvrMN1Gj0U2qks3rbKl++mgO1PtpWNbKCcsqzVjQravFYlGrPm"
    "LtNl5x7eZuOMpP3xPqU/1LlqKb1k3c1YcxIjC+HCm780j9JuY0+3TuxmP99FcU6/8BXyag"
    "MQ=="
)

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "users" (
    "uid" VARCHAR(64) NOT NULL PRIMARY KEY,
    "username" VARCHAR(100) NOT NULL UNIQUE,
    "is_admin" INT NOT NULL,
    "avatar_url" VARCHAR(255),
    "created_at" TIMESTAMP NOT NULL
) /* A user. */;
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
    "eJzdld9P2zAQx/+VKk8gTRWroA97a6ETldZ2gjAkpslyYze16tjBsQcV6v++OydpfpQiil"
    "Qe9hZ/73v2+XOX5CWgUaSdsln3LuMm+NZ5CRRNODy0Il9ASNO6jpKlc+nNDjxeofPMGhpZ"
    "EBdUZhwkxrPIiNQKrdA66KC5i2amI3ALFbd0p8Sj48TqmNulL+v3H5CFYvyZZ+UyXZGF4J"
    "I1qnaC4Q4+QOw69eLlkprv3oqHzkmkpUtUzZ6u7VKrrR+KQjXmihtqOatdRjkpi0uXUl4t"
    "CNY4vi2TVQLjC+okIsHsvIRKCwiZzkJyOwoJCXZwlRk1UoUUaYWoBbYCCST0mUiuYruEZf"
    "98k59TgchdeOCvwc3l9eDmpH9+igdq6FfexWkR6fnQxm9BLc038dxroKFZ/vkQ2rWc/w75"
    "17OzdzAH117oPobUK8oiI5QlQu1SHmotOVWvg66ntUDPIe8jpEuhQl293yXXrXIE2G+wHc"
    "5mP3DnJMsepRfGYYvx3WQ4AvgePZiE9fJ4GrZ4078w74Y4Iw+Z62bWhya7mNuDcH/aaPcu"
    "Lt4x2uDaO9o+1kQdGY44CLW7qK8gYkXCX8fdzGzhZkVqt3w41rAfkz5ckM2UXBeD8Qb8cD"
    "wZ3YaDyc/GC3A1CEcY6Xl13VJP+q0+bTfp3I/D6w4uOw+z6cjj1ZmNjT+x8oUPAdZEndVE"
    "6Sf42NS+vaVaUtvgz3qxqv1FUJjTaPVEDSM7Ed3T+7y7oaSXtBWqaOx7hnA3m38KttXp"
)

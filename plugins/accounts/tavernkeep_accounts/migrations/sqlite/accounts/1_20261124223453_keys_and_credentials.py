from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "credentials" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "service_name" VARCHAR(100) NOT NULL,
    "display_name" VARCHAR(100),
    "sealed" TEXT NOT NULL,
    "hint_prefix" VARCHAR(8) NOT NULL,
    "hint_suffix" VARCHAR(8),
    "created_at" TIMESTAMP NOT NULL,
    "user_id" VARCHAR(64) NOT NULL REFERENCES "users" ("uid") ON DELETE CASCADE
) /* A credential for a service elsewhere, sealed. */;
        CREATE TABLE IF NOT EXISTS "service_keys" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "name" VARCHAR(100),
    "prefix" VARCHAR(16) NOT NULL,
    "digest" VARCHAR(64) NOT NULL,
    "scopes" JSON NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "last_used_at" TIMESTAMP,
    "user_id" VARCHAR(64) NOT NULL REFERENCES "users" ("uid") ON DELETE CASCADE
) /* An API key; of its secret only a digest is kept. */;
CREATE INDEX IF NOT EXISTS "idx_service_key_prefix_50a6db" ON "service_keys" ("prefix");"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE IF EXISTS "service_keys";
        DROP TABLE IF EXISTS "credentials";"""


MODELS_STATE = (
    "eJztmu9v2jgYx/+ViFedNFUr21B19ypQeuPWwlSy27TTyTKJAauJnSXOWrTjf7/Hzm+HIM"
    "LormS8I88PJ/n4iXm+Tr53sG3ziInwfBAQhzBBsdv5zfjeYdgj8GOj/yWYfb/olSaBZ65K"
    "sbNIZcezUATYFuCag4mAySGhHVBfUM5kgmnkKcacBwY2QhJ8ozYxCCQ8LEkAWSHBLnHO5Z"
    "AOt2FMyhZ7ZUeMfo0IEnxBBDhhjL//ATNlDnkkYXro36M5Ja5TokEdOYCyI7HylW2wxMG1"
    "ipRXNkM2dyOP5dH+Siw5y8LhwqV1QRgJsCBOAQuLXDeBmJriawWDCCKSXaSTGxwyx5Er4c"
    "rs+ApyWweh8cRC06GFUKcCPs0o0ExMNmdy0qicWnn/Hn5ELmELsYTD1711fJ6cQxwlT/iX"
    "eTd4Z96dve69kCfkMPNxVYwTT1e51moILHA8iKKeY07mD6njBsD1vMOgTw05+7yOfzr8i1"
    "evdqAPUbX4lU/yz3k7NPRdvGrMW8/bi3dSyL8Q7ngtqoK2yKOoK+w0oxUlvQWpNfxsyZG9"
    "MPzqFkme3ZqfFWRvlXhuJuM/0vAC+cHNpK8BX8KJkR+QOX1sUt5aWivQl8v7cofivqwt7U"
    "u9sBWwMJrvwzlPa98qcmDM0O9IEAiLKuUr8Ajqkc2ky5kaaCdJPU9/HGN5ww06E+aukpLY"
    "ttKMbodTy7z9UFpurkxrKD3d0lKTWs/0riYbxPg0st4Z8tD4MhkPFV4eikWgzpjHWV868p"
    "pwJDhi/AFhp9DMpdaUWmnWI+huULMGtJDSwsWr92aHx6r3pva5kq71Wvb68/uNbajEV8V9"
    "zQNCF+w9WSnoI7hCzOxN/U+mnT4mAx0Z7nVaT6k1r9QAP2TyqFhmcPcOcYmIC9OcDsyrYU"
    "cxnmH7/gEHDirBlh7e5Zoli626vK6nWzDDCwVH3oV6uFLu01gPwFR1Nmragv/ldk2bKot7"
    "stpV1DLD/DAyIOF3g88NKkLQoLD+CoPD8gQi1aELEgqDhhDjiw26do8BTtL2uUvbphLrJK"
    "0aSavmTf7T9/f/Xzlf7FLOF/XlfNGr7hTINafZHkGacWpBalqQ0t6AzeUYFcB/Tifjmr2B"
    "LEPv56ktjH8Nl8b4jwz0FrCSxfY9An07QOvG5QD6HsFJVNXXfHtFlYtDgaB/3Wfe9dwDzP"
    "wz+8M+kolOmZzk80k+PyPcRy+fFfeNwjmdkW2SWd7Wzi+AZfCmV7uZ/QeUbdTwqW+ptj1U"
    "r1qvbeVkNdW3xZzWIX8SiUtD+NvzKKtS7nPuEsxqdmwKaRroGeQ91fqaWX5ue9KfTG5KnU"
    "l/pL8n/HjbHwJ8hR6CaLzojsaWxht/g3oPUBS4Teq6nNW+3Zvu27c7lDZE1Za28p002K+p"
    "wSptY32PUyqP4odl2uKXJF+/vyMuVni3tJTlr9mOrBbqGkvtI5PyG4sfoVV+T9IWWodvnt"
    "f/AZHqRv8="
)

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "sessions" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "address" VARCHAR(64),
    "agent" VARCHAR(200) NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "last_seen_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL,
    "user_id" VARCHAR(64) NOT NULL REFERENCES "users" ("uid") ON DELETE CASCADE
) /* A login; of its token only a digest is kept. */;
        ALTER TABLE "service_keys" ADD "expires_at" TIMESTAMP;
        ALTER TABLE "users" ADD "is_viewer" INT NOT NULL DEFAULT 0;
        ALTER TABLE "users" ADD "disabled" INT NOT NULL DEFAULT 0;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "service_keys" DROP COLUMN "expires_at";
        ALTER TABLE "users" DROP COLUMN "is_viewer";
        ALTER TABLE "users" DROP COLUMN "disabled";
        DROP TABLE IF EXISTS "sessions";"""


MODELS_STATE = (
    "eJztm21v2kgQx7+KxaucFEUNbaLo+goIuXJNoAruXdXTyVrsBVaYXddeB1CP736z6+cnYh"
    "PSgut3MLuztn8zXs9/MN9bSNeZS7lz0bOxgSknyGz9rnxvUbTE8CF3/BzMlhUfFSaOJqZ0"
    "0cOZ0o4mDreRzmFoCiYMJgM7uk0sThgVDh0lclGmzFaQ4mD7iehYweCwmmMbvByMTGxciC"
    "UNpsOahM728nYp+eZijbMZ5jAIa/zzL5gJNfAaO8FXa6FNCTaNBA1iiAWkXeMbS9p6c2Tf"
    "yZnizCaazkx3SaPZ1obPGQ2nw4kL6wxTbCOOjRgW6pqmDzEweecKBm67ODxJIzIYeIpcU8"
    "AV3t4ZRLaWpg1Hqjbuq5rWyoAPPGI0fZPOqAgaEaEV179Ea83EdMbn8PXt9dY7TsTBmyUO"
    "+Ffnsfeh83j29vo3cUAGkfeyYuiPtOXQVi6BOPIWkdQjzH78NPm9AvC032HQB4aIfZTHPx"
    "z+5Zs3JejDrEL8ckzwj3gbxLFMtKnMO+23F28/kX8h3N5elAWt4jUvSuzAoxYpvQOp2v+i"
    "ipWXjvPNjJM8e+h8kZCXG3/kfjT8I5geI9+7H3VTwOdwYM2y8ZSsq6R3yq0W6JPpfVMiuW"
    "8KU/smndgSmONO9+EcudVvFzkwZqh3BAgN8SzlWxjhZInzSSc9U6AN3/Ui+HCK6Q0XaIyo"
    "ufFTYtdOM3joj9XOw6fEdnPbUftipJ3YagLrWbqqCRdR/h6oHxTxVfk6GvYlXubwmS2PGM"
    "1Tv7bEOSGXM42ylYaMWDEXWANqiai7UN1o1QrQmEsNN6/rdyVuq+t3hfeVGNpuRa0/XeSW"
    "oQJfFvcdszGZ0Y94I6EP4AwR1fPqn1A7ffYXOjHc2yCfAmuUqTZahfIonmZw9QY2MfcSsz"
    "PudW77Lcl4gvTFCtmGloAtRlibpSzh3OzQsr1MWxBFMwlHXIW8uQLuY08PQKhauZo2Nn6+"
    "W9MGymKBN2VFLVU6nwYKOLxX2FQh3AENCvsvVxhsTyBSDTLDDleIA3MsnqNr91igkbbHLm"
    "2rSqxGWlWSVtWL/Nev739eOl+WSefL4nS+vM52CsSeU61HEHg0JUhBCZLoDehMrJEB/Od4"
    "NCzoDYQe6Xqe6Fz5TzGJh//EQO8AK1js7hGk2wGpalwskO4RNKKqOOfrK6pM5HAN6td94p"
    "72PUDkj+yBfSKBDpjsjDReWwSW2yPOSc8myscc5aZJ0jRJmiZJxSaJ48A1P8o7KrdJEo6f"
    "P9ckkTNL/+pvshmhYXODswWmpZsjFZ2bxsixN0Z+vrI8ItyH15XwDIXHbI6wLOYbc6lf9+"
    "kVCAOOSvkbOtSw7GiXau61dzT32tnmXiPRn6tCalHDS13tYEz31eQx3ybURx3qIxLlTZgb"
    "VX5i1Uejyp+7e05XlUvuuXo8iMguJS4uq7QMF5PzFHZof4F4dive9TWVz4dSG8XyWQSr6r"
    "sFcZ/aIX+V1wsIFBzGktAs5S5jJka0oCkUc0uBnoDfa+2voeXHlifd0eg+UZl0B+l3tD8/"
    "dPsAX6KHScTbdAdDNcv7ieBV3rPsOeCRX0O8AnGDOAJAzq69E3jcreFdgTd6gh3d1lzbrN"
    "Q6SnjVrzvXvroq0z66uipuH4mxpn30a77hkRFGxVV8Ij3if1tNbX6+893HR2wiiTebCQX/"
    "lT2xXCiSTqm/sCXfh34JreRb2PWkFf0w+jJS8Z9i60Lq8EJ6+z/tlC8s"
)

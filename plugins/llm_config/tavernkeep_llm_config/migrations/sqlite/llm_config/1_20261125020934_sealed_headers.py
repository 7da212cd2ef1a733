from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "llm_channels" ADD "sealed_headers" TEXT;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "llm_channels" DROP COLUMN "sealed_headers";"""


MODELS_STATE = (
    "eJztmFtv2jAUgP9KlKdO6qoWKKu2J2jZylRgotlWtaosgw1YOA6NnVLU8d9nmyQ4IUSh65"
    "X1LTk3O59Pju1zb1Pqgr7HBmS4dzyCjGHa9ab2Z+veZtDF8mGNxa5lw8kkqVdCAXt06baw"
    "59q6x4UP+0LqBpByLEUI875PJoJ4THnULI79W9LHlhhBYUHGp9jnXywiuDXGM4twaQApRn"
    "sqHvL6MiBhw81dA0ZuAgyEN8RihH0Z4OpaiglD+A7z6HUyBgOCKUrAIEgF0HIgZhMtk1T8"
    "r9pSTasnYdDAZUvryUyMPBaby1kr6RAz7EOBkQGEBZSG/CLRYq5SIPwAx5NESwHCAxhQhV"
    "V5L2awlNkAtDsOOG84ANgryCMPA2UokguqloswwfX3u/AOUMyGYiRfy9X5Ypwlh4WVGvBX"
    "rXt8WuvulKsf1ICeXPNFQrRDTUmr5joEFHARRFNfYg7kcoLNWBsujwM8ErwG4tVKAeLVyl"
    "riSqWIG3817GG6Cd/Y4anoLqvCs+Mt7e8X4Cut1gLWuiRhiOBEYH8TxobLFlI+LAL5cD3j"
    "wxXEPcgxCPyN8tj02ULIMhEL5nJuMq+gXmyfQG6mq7AdfCeyYSe9tgJ3DlynceGoyC7nN9"
    "REutOqXWja7izUnHXa3yJzYwmOzzr1bPAjDJE80jwAvuH5oAUId73/lb/MXTCSg29SY0yf"
    "rUj6dI0pVGFy6ku6usjhBM5i/P28085mbLikECPSF9YfixIu3iDqHLQKRn5+p1NZwfG4GP"
    "o6ig6Qzm9EuCKRcdauex7FkGXjN91S/HvS76nAx5LnJV/vdM4S5OvNdOn42ao3ujsHehmk"
    "ERFa3Gw76VT3sWICYEa2n0iNIC5ek/EJz3TSh6570cMbTH1bfiDqMDoLd528Ut9sNc6dWu"
    "tHYlVOak5DaUqJWh9Jd9I30jiI9bvpnFrq1brstBvp3ya2cy5tNScYCA8wbwogMq6FkTSi"
    "NldNhMHYuN8qQQ/2x1PoI7Ci8UreOttVlVty0xLI4FCvmYKrpmk0bloeym3sxPrdIm0dV1"
    "kXbupo67AvY6lbujWC3JJO5FalZlYzp4hLRhPnymwC6Bjq+fpfejtNtuZwldlpCLd887cL"
    "k+P1dnaGagofSweVT5WjcrVypBJHiWLJp5zfMCpvb62T84KHp8dv5cSZvgFj02cLIZcLXY"
    "LLOXfg8uoV+P2Q+mKH1PdD0/uh6RkOTfO/FKKixg=="
)

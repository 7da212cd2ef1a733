"""The table of answers that are being generated."""

from tortoise import fields
from tortoise.models import Model


class GenerationRow(Model):
    """An execution whose answer goes into a chat; there until it has. So none is forgotten when the server ends."""

    execution_id = fields.CharField(max_length=64, primary_key=True)
    uid = fields.CharField(max_length=64)  # who runs it
    owner = fields.CharField(max_length=64)  # in whose folder the chat is
    project_id = fields.CharField(max_length=255)  # as its owner calls it
    session_id = fields.CharField(max_length=64)
    node_id = fields.CharField(max_length=64)
    kept = fields.IntField(default=0)  # characters that stood there before, and which it goes on from
    live_output = fields.CharField(max_length=255, null=True)  # the workflow's output that streams, and the node that feeds it
    live_node = fields.CharField(max_length=255, null=True)
    answer_output = fields.CharField(max_length=255, null=True)

    class Meta:
        table = "chat_generations"

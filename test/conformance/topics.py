"""topics.py HOST:PORT PREFIX: deletes the topics whose names begin so."""

import sys

from kafka import KafkaAdminClient

admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
topics = [topic for topic in admin.list_topics() if topic.startswith(sys.argv[2])]
if topics:
    admin.delete_topics(topics)
admin.close()

package httpapi

import (
	"net/http"

	"sluice/internal/stream"
)

// kind is what HTTP says about an error code.
type kind struct {
	status  int
	title   string
	explain string // what it means and what to do next, for /problems/<code>
}

// kinds is the one place where error codes get their status. Every code of
// package stream is in it; a test holds both together.
var kinds = map[stream.Code]kind{
	stream.InvalidRequest: {
		http.StatusBadRequest, "The request cannot be read",
		"A parameter, a header or a member of the body is missing, misspelled, repeated or out of range. The detail names it, and errors lists every place when there are several. Correct the request; sending it again unchanged fails again. Nothing was changed or stored.",
	},
	stream.MalformedJSON: {
		http.StatusBadRequest, "Not well-formed JSON",
		"The data must be one JSON text by RFC 8259: UTF-8, no trailing commas, no comments, no member name twice in one object, nothing after it. The detail says where it goes wrong. Text that is meant as a string needs its quotes: \"hello\". Nothing was stored.",
	},
	stream.PatternTooWide: {
		http.StatusBadRequest, "The pattern matches too much",
		"A position names every partition it covers, and those of all streams that match do not fit into one. Use a narrower pattern, or read as a consumer group, which keeps its positions in Kafka.",
	},
	stream.Unauthenticated: {
		http.StatusUnauthorized, "Authentication is needed",
		"The request has no credentials, or they are wrong or have expired. The header WWW-Authenticate says which kind the gateway takes. Get new credentials and send the request again.",
	},
	stream.Forbidden: {
		http.StatusForbidden, "Not allowed",
		"The caller is known but may not do this: a rule or a quota of the gateway denies it, or Kafka's access control lists deny it to the gateway. The detail says which. Ask whoever runs the gateway or the Kafka cluster for the permission; trying again does not help before.",
	},
	stream.OriginNotAllowed: {
		http.StatusForbidden, "This origin or host is not served",
		"Either a web page of another site sent the request, which the gateway refuses so that a page you visit cannot publish in your name; or the Host header names a host this gateway does not serve. A gateway on loopback without authentication serves only localhost, 127.0.0.1 and [::1]. Use one of these, add your name to allowed_hosts in the configuration, or turn authentication on.",
	},
	stream.NotFound: {
		http.StatusNotFound, "No such page",
		"The API has nothing at this path. Mind that ids are path segments: a slash within one is not possible. GET / lists what there is, and GET /openapi.yaml describes all of it.",
	},
	stream.MethodNotAllowed: {
		http.StatusMethodNotAllowed, "No such method here",
		"The path exists but not with this method; the header Allow lists those it has. GET /openapi.yaml describes all of them.",
	},
	stream.UnknownStream: {
		http.StatusNotFound, "No such stream",
		"There is no stream with this id. GET /streams lists the streams. To create one, register its schema (POST /schemas/{name}/versions, with the stream's id in streams), or PUT /streams/{stream}, or publish to it with the parameter schema, when the gateway is set to create streams. Nothing was stored.",
	},
	stream.UnknownSchema: {
		http.StatusNotFound, "No such schema",
		"There is no schema of this name, or no such version of it. GET /schemas lists all. Register it with POST /schemas/{name}/versions. Mind that case counts.",
	},
	stream.UnknownRecord: {
		http.StatusNotFound, "No such record",
		"The stream has no record at this partition and offset: it was deleted by retention or compaction, was never written, or holds a transaction marker. Offsets have gaps; that alone is no sign of loss.",
	},
	stream.UnknownGroup: {
		http.StatusNotFound, "No such consumer group",
		"Kafka knows no consumer group of this id. Groups disappear some days after their last member left (offsets.retention.minutes).",
	},
	stream.UnknownSubscription: {
		http.StatusNotFound, "No such subscription",
		"There is no subscription with this id; it may have been deleted. GET /subscriptions lists all.",
	},
	stream.UnknownBroker: {
		http.StatusNotFound, "No such broker",
		"The cluster has no broker of this id at the moment: it never had, or it is down. GET /cluster/brokers lists those it has.",
	},
	stream.SchemaConflict: {
		http.StatusConflict, "The version is taken by another schema",
		"A registered version never changes, because stored records refer to it. Leave out the version to get the next free number, or name a free one.",
	},
	stream.SchemaMismatch: {
		http.StatusConflict, "The stream is bound to another schema",
		"A stream holds records of one schema; any version of that schema may be named, no other. Leave out the parameter schema to use the stream's own, or publish to another stream. GET /streams/{stream} shows what it is bound to. Nothing was stored.",
	},
	stream.SchemaInUse: {
		http.StatusConflict, "Streams use this schema",
		"A schema version that streams are bound to cannot be deleted. The detail names them. Delete those streams, or bind them to another version with PUT /streams/{stream}, then try again.",
	},
	stream.UnboundStream: {
		http.StatusConflict, "The stream has no schema",
		"The topic exists in Kafka but is bound to no schema, and publishing never binds an existing topic: it may belong to somebody else. Bind it once with PUT /streams/{stream} and {\"schema\":\"Order:1\"}, then publish again. Nothing was stored.",
	},
	stream.NameCollision: {
		http.StatusConflict, "The name collides with another stream",
		"Kafka takes two topics whose names differ only in dots and underscores for one, and refuses the second. Choose a name that differs in more than that.",
	},
	stream.SubscriptionConflict: {
		http.StatusConflict, "The subscription's id is taken",
		"Another subscription has this id. Choose another one, or change the existing one with PUT /subscriptions/{id}.",
	},
	stream.GroupActive: {
		http.StatusConflict, "The group has active members",
		"The position of a consumer group can only be changed while nobody reads in it. Stop its members, wait for their session to end, and try again.",
	},
	stream.GroupInUse: {
		http.StatusConflict, "The group belongs to a subscription",
		"This group holds the position of a subscription and cannot be joined, moved or deleted by itself. Use the subscription's own position, pause and delete.",
	},
	stream.EtagMismatch: {
		http.StatusPreconditionFailed, "It was changed in the meantime",
		"The entity tag in If-Match is not the current one: somebody else changed the resource since you read it. Read it again, apply your change to what is there now, and send it with the new tag. With If-None-Match: * it says that there is one already, which was left as it is.",
	},
	stream.TooLarge: {
		http.StatusRequestEntityTooLarge, "Too large",
		"The body, the line or the record is larger than a limit of the gateway or of the topic (max.message.bytes); the detail names the limit. Send less at once, or keep the large part elsewhere and publish a reference to it. Nothing of it was stored.",
	},
	stream.UnsupportedType: {
		http.StatusUnsupportedMediaType, "The media type or coding is not supported",
		"The gateway does not read this Content-Type or Content-Encoding. One record is application/json or any +json type; text/plain, no type and curl's default type are read as JSON too. Many records are application/x-ndjson, one JSON object a line. CloudEvents are application/cloudevents+json, application/cloudevents-batch+json, or headers ce-*, always with JSON data. Bodies are UTF-8, as they are or with the Content-Encoding gzip or zstd. Nothing was stored.",
	},
	stream.SchemaViolation: {
		http.StatusUnprocessableEntity, "The data does not match its schema",
		"The data is JSON but breaks rules of the schema it is published under. errors lists the places (pointer) and the rules (keyword). Correct the data, or register a version of the schema that allows it. POST /schemas/{name}/versions/{version}/validate checks data without publishing it. Nothing was stored.",
	},
	stream.InvalidSchema: {
		http.StatusUnprocessableEntity, "The schema cannot be used",
		"It is not a valid JSON Schema, or it asks for something the gateway cannot check in full: an unknown $schema, a $ref that leads nowhere or to another host, a regular expression it cannot run. The gateway refuses such a schema rather than check half of it. errors points at the places.",
	},
	stream.InvalidRecord: {
		http.StatusUnprocessableEntity, "The record cannot be stored as asked",
		"The request is readable but Kafka cannot take the record: for example the partition does not exist, a tombstone has no key, a record header has a name that is the gateway's own, a timestamp is too far from now for the topic, or a CloudEvent lacks an attribute. For a request of many records: all were refused, and results says why for each. Nothing was stored.",
	},
	stream.RateLimited: {
		http.StatusTooManyRequests, "Too many requests",
		"A quota of the caller, or of the address it calls from, is used up: requests or bytes a second, or streams open at once. The detail says which. Wait as long as Retry-After says, then go on more slowly: the headers RateLimit-Policy and RateLimit, which every answer has, say how fast. Nothing was stored.",
	},
	stream.Overloaded: {
		http.StatusServiceUnavailable, "The gateway is busy",
		"The gateway's own queues are full, or it is stopping. Wait as long as Retry-After says, with some random time added, then send the request again; another gateway of the fleet may take it at once.",
	},
	stream.AuditUnavailable: {
		http.StatusServiceUnavailable, "It cannot be audited",
		"This gateway is set to do nothing that it cannot write into its audit log (audit.required), and that log takes nothing now: its disk may be full, or Kafka away. Nothing was changed or stored. Try again after Retry-After; whoever runs the gateway finds the reason in its log and in GET /health/ready.",
	},
	stream.KafkaUnavailable: {
		http.StatusServiceUnavailable, "Kafka cannot be reached",
		"The gateway reaches no broker that can do this: the cluster is down, unreachable, or has no leader for the partition. It keeps trying by itself. Wait as long as Retry-After says and send the request again. The member outcome of a publish says whether that can store the record twice.",
	},
	stream.NotEnoughReplicas: {
		http.StatusServiceUnavailable, "Too few replicas are in sync",
		"Kafka refuses to store the record because fewer replicas are in sync than min.insync.replicas asks for: it could be lost. This passes when the brokers are back. Wait as long as Retry-After says and send the request again.",
	},
	stream.OutcomeUnknown: {
		http.StatusGatewayTimeout, "It is not known whether it was stored",
		"The record was handed to Kafka and no answer came in time. It may be stored, now or as soon as Kafka can: the gateway goes on trying. Sending it again may store it twice: do so when receivers tolerate duplicates, or look first whether it arrived.",
	},
	stream.Internal: {
		http.StatusInternalServerError, "The gateway failed",
		"This is a fault of the gateway, not of the request. Its log has the cause under the request id of the answer (header X-Request-Id); please pass both on to whoever runs it. For a publish the member outcome says whether the record may be stored.",
	},
}

// kindOf gives the kind of a code, and Internal's for one nobody defined.
func kindOf(code stream.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	return kinds[stream.Internal]
}

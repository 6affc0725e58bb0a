package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// document is docs/FAULTS.md.
func document(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults

Made by `+"`make test-faults`"+` on %s, on %d cores that everything shared. It fails where a promise is broken.

Three gateways stand behind a TCP balancer in turn, before three brokers (replication factor 3, `+"`min.insync.replicas=2`"+`, a dead broker is noticed after 4 s).
%d publishers, one for each key, publish a record every %v to a stream of 6 partitions, the next one when the one before was answered. What was `+"`not_stored`"+` they send again, every %v; after an unknown outcome they go on with the next record.
%d readers follow as EventSource does, one reads page after page, and one webhook gets every record. Gateways have their default configuration.

After each fault a plain Kafka client reads the stream (`+"`read_committed`"+`). It holds that

- each record that was answered 201 is there once, at the place that the answer named; one that was `+"`not_stored`"+` is not there, unless sent again with success; one of an unknown outcome at most once;
- the records of a key lie in the order in which they were published, and every reader got them in the order in which they lie;
- each reader and the webhook got every record; readers got none twice (a webhook may);
- no other answers came than the API describes for such times, and no reader by EventSource was told what would end it for good;
- all goes on by itself afterwards.

Pauses are the longest time between two successes in a row: of all keys together, and of the one key that waited longest, which is what a client notices; a quiet run shows what of that is the rhythm of the publishers.

`, time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), keyCount, rhythm, rhythm, sources)
	writeTable(&b, results)
	writeAnswers(&b, results)
	return b.String()
}

func writeTable(b *strings.Builder, results []result) {
	b.WriteString("| fault | lasted | 201 | refused | unknown | no answer | refused, of all | pause of publishing | of a key | of a key, event streams | of a key, webhook | missing | repeated | delivered again |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		s, f, u, n := r.counts()
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %.1f %% | %s | %s | %s | %s | %d | %d | %d |\n",
			r.fault.name, seconds(r.lasted), s, f, u, n, 100*float64(f)/float64(max(1, s+f+u+n)),
			seconds(r.publishing), seconds(r.publishingKey), seconds(r.eventsKey), seconds(r.hookKey), r.missing, r.repeated, r.again)
	}
	b.WriteString("\n`lasted` is until the fault was undone: processes started again, replicas in sync. Missing and repeated count records in Kafka and at readers that may not be, delivered again those that the webhook got more than once.\n\n")
}

func writeAnswers(b *strings.Builder, results []result) {
	b.WriteString("## What was done, and what clients were told\n\n")
	b.WriteString("| fault | what happens | answers to publishers | what readers met |\n|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.fault.name, r.fault.about, sorted(r.answers), sorted(r.reads))
	}
	behind := 0
	for _, r := range results {
		behind += r.behind
	}
	fmt.Fprintf(b, "\nOf records whose outcome was unknown %d lie after younger ones of their key: they arrived when their publisher had gone on. Who needs their order, waits or looks before going on.\n", behind)
	for _, r := range results {
		if len(r.broken) > 0 {
			fmt.Fprintf(b, "\n**Broken by %s:** %s\n", r.fault.name, strings.Join(r.broken, "; "))
		}
	}
}

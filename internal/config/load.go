package config

import (
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Command is what the gateway is asked to do.
type Command string

// The commands. Serve is the one that is meant when none is named.
const (
	Serve   Command = "serve"
	Check   Command = "check"
	Version Command = "version"
	Help    Command = "help"

	MakeToken Command = "token" // for the principal that Invocation.Name names
)

// Sources is where the configuration comes from. A nil function reads the
// process's own environment or file system.
type Sources struct {
	Args     []string // after the program's name
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
}

// Invocation is what the gateway was told.
type Invocation struct {
	Command Command
	Config  Config
	Name    string // what MakeToken makes a token for
}

// Usage is the text of `gateway help`.
const Usage = `Sluice, an HTTP gateway to Apache Kafka.

Usage: gateway [command] [flags]

Commands:
  serve     run the gateway (what it does without a command)
  check     check the configuration, print it without secrets, see that Kafka
            answers, and end
  token     make a token for whom the argument names, print it once, and what
            to configure
  version   print the version
  help      print this text

Flags:
  --config FILE             YAML file to read (SLUICE_CONFIG)
  --listen HOST:PORT        where to serve HTTP (default 127.0.0.1:8080)
  --embedded                run a Kafka broker inside the gateway
  --data-dir DIR            where the embedded broker keeps its data (default ./data)
  --allow-anonymous         serve other machines without authentication
  --kafka-servers LIST      HOST:PORT of Kafka brokers, joined by commas (default localhost:9092)
  --kafka-settings JSON     librdkafka properties, such as '{"linger.ms": 5}'
  --topic-prefix PREFIX     put before a stream's id to make its topic
  --replication-factor N    of new topics (default: the number of brokers, at most 3)

A flag goes before a variable, a variable before the file. Each key of the file
has a variable: limits.record is SLUICE_LIMITS_RECORD. All keys, with their
defaults, are in deploy/gateway.yaml.
`

// flagKeys maps flags to the keys they set; bare ones need no value.
func flagKeys() map[string]struct {
	key  string
	bare bool
} {
	return map[string]struct {
		key  string
		bare bool
	}{
		"listen":             {"listen", false},
		"embedded":           {"embedded", true},
		"data-dir":           {"data_dir", false},
		"allow-anonymous":    {"allow_anonymous", true},
		"kafka-servers":      {"bootstrap_servers", false},
		"kafka-settings":     {"kafka_settings", false},
		"topic-prefix":       {"topic_prefix", false},
		"replication-factor": {"replication_factor", false},
	}
}

// Load reads the command and, for those that need it, the configuration. The
// Problems are all there are; with any of them the Config is not fit for use,
// but fit to be checked further.
func Load(src Sources) (Invocation, Problems) {
	if src.Getenv == nil {
		src.Getenv = os.Getenv
	}
	if src.ReadFile == nil {
		src.ReadFile = os.ReadFile
	}
	var problems Problems
	line := parseLine(src.Args, &problems)
	inv := Invocation{Command: line.command, Config: Default(), Name: line.name}
	if inv.Command == Help || inv.Command == Version || inv.Command == MakeToken {
		return inv, problems
	}
	inv.Config.explicit, inv.Config.sources = map[string]bool{}, src
	d := &decoder{problems: &problems, explicit: inv.Config.explicit}
	root := reflect.ValueOf(&inv.Config).Elem()
	if path := line.file(src.Getenv); path != "" {
		inv.Config.file = path
		text, err := src.ReadFile(path)
		if err != nil {
			problems.Add("", "the configuration file cannot be read: %v", err)
		} else {
			d.file(path, text, root)
		}
	}
	d.environment("", root, src.Getenv)
	for _, s := range line.settings {
		member, _ := find(fields(root), s.key)
		d.text(s.key, s.text, member, "--"+s.flag)
	}
	return inv, append(problems, inv.Config.Validate()...)
}

// commandLine is what the arguments say.
type commandLine struct {
	command  Command
	name     string // of the token to make
	config   string
	settings []setting
}

// setting is one flag, not yet understood.
type setting struct{ flag, key, text string }

func (l commandLine) file(getenv func(string) string) string {
	if l.config != "" {
		return l.config
	}
	return getenv(envPrefix + "CONFIG")
}

// parseLine reads the arguments: a command before or after the flags, or none.
func parseLine(args []string, problems *Problems) commandLine {
	line := commandLine{command: Serve}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&line.config, "config", "", "")
	for name, f := range flagKeys() {
		keep := func(text string) error {
			line.settings = append(line.settings, setting{name, f.key, text})
			return nil
		}
		if f.bare {
			flags.BoolFunc(name, "", keep)
		} else {
			flags.Func(name, "", keep)
		}
	}
	var named []string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		named, args = args[:1:1], args[1:]
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return commandLine{command: Help}
	case err != nil:
		problems.Add("", "%v; see `gateway help`", err)
	}
	named = append(named, flags.Args()...)
	if len(named) > 0 {
		line.command = Command(named[0])
	}
	if line.command == MakeToken {
		if len(named) != 2 {
			problems.Add("", "say whom the token is for: gateway token NAME")
			return line
		}
		line.name = named[1]
		return line
	}
	if len(named) > 1 || !slices.Contains([]Command{Serve, Check, Version, Help}, line.command) {
		problems.Add("", "the commands are serve, check, version and help, one at a time; see `gateway help`")
		line.command = Serve // not Help, which would pass over the problem
	}
	return line
}

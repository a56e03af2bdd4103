// Command check reads the deployment files with the libraries that container engines read them with: a compose file
// with compose-go, a Dockerfile with BuildKit's parser. It needs no engine.
//
//	check compose docker-compose.yml .env    prints the project as JSON: interpolated, normalized, consistent
//	check dockerfile Dockerfile              prints its stages as JSON
//
// The exit status is 1 and the reason is on standard error when the file would not be accepted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

type stage struct {
	Name         string   `json:"name"`
	Base         string   `json:"base"`
	Instructions []string `json:"instructions"`
}

func main() {
	result, err := read(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(arguments []string) (any, error) {
	switch {
	case len(arguments) == 3 && arguments[0] == "compose":
		return readCompose(arguments[1], arguments[2])
	case len(arguments) == 2 && arguments[0] == "dockerfile":
		return readDockerfile(arguments[1])
	}
	return nil, errors.New("usage: check compose FILE ENVIRONMENT_FILE | check dockerfile FILE")
}

func readCompose(file, environment string) (any, error) {
	// Only the named environment counts: nothing of this machine's leaks into the result.
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(environment), cli.WithDotEnv)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func readDockerfile(file string) (any, error) {
	source, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	parsed, err := parser.Parse(source)
	if err != nil {
		return nil, err
	}
	var warned error
	rules := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warned = errors.Join(warned, fmt.Errorf("%s: %s", rule, message))
	}})
	for _, warning := range parsed.Warnings {
		warned = errors.Join(warned, errors.New(warning.Short))
	}
	parts, _, err := instructions.Parse(parsed.AST, rules)
	if err := errors.Join(err, warned); err != nil {
		return nil, err
	}
	var stages []stage
	for _, part := range parts {
		described := stage{Name: part.Name, Base: part.BaseName}
		for _, command := range part.Commands {
			described.Instructions = append(described.Instructions, fmt.Sprint(command))
		}
		stages = append(stages, described)
	}
	return stages, nil
}

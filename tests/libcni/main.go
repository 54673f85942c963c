// Drives CNI plugins as container runtimes do: each run is one call of libcni, the reference library of
// the CNI project, with its own conversion of results and its own cache. The call is a JSON object on
// stdin, what came of it one on stdout; the exit code says only whether there was an answer at all.
//
// Not a test: what is right and wrong is said in TypeScript (tests/support/plugin/libcni.ts calls this).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"go.opentelemetry.io/otel/propagation"
)

type call struct {
	Command string
	// Where plugins are looked for.
	Path     []string
	CacheDir string
	// A list of plugins, or one alone: the other is empty.
	List   json.RawMessage
	Single json.RawMessage
	// What the runtime knows of the container.
	Container libcni.RuntimeConf
	// Nothing, or what GC is told; the library tells a list that is nil as null.
	GC          *libcni.GCArgs
	TraceParent string
}

type failure struct {
	Message string `json:"message"`
	// Of the plugin's own error object, if there is one in the error's chain.
	Plugin *types.Error `json:"plugin,omitempty"`
}

type answer struct {
	// The result in every version that the library can convert it to.
	Results      map[string]types.Result     `json:"results,omitempty"`
	Attachments  []*libcni.NetworkAttachment `json:"attachments,omitempty"`
	Capabilities []string                    `json:"capabilities,omitempty"`
	Versions     []string                    `json:"versions,omitempty"`
	Failure      *failure                    `json:"failure,omitempty"`
}

func main() {
	var c call
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		fmt.Fprintln(os.Stderr, "cannot read the call:", err)
		os.Exit(1)
	}
	a, err := serve(c)
	if err != nil {
		a.Failure = &failure{Message: err.Error()}
		errors.As(err, &a.Failure.Plugin)
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the answer:", err)
		os.Exit(1)
	}
}

func serve(c call) (answer, error) {
	carrier := propagation.MapCarrier{"traceparent": c.TraceParent}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
	cni := libcni.NewCNIConfigWithCacheDir(c.Path, c.CacheDir, nil)
	if len(c.Single) > 0 {
		return serveSingle(ctx, cni, c)
	}
	list, err := libcni.NetworkConfFromBytes(c.List)
	if err != nil {
		return answer{}, err
	}
	switch c.Command {
	case "ADD":
		result, err := cni.AddNetworkList(ctx, list, &c.Container)
		return convert(result), err
	case "CHECK":
		return answer{}, cni.CheckNetworkList(ctx, list, &c.Container)
	case "DEL":
		return answer{}, cni.DelNetworkList(ctx, list, &c.Container)
	case "GC":
		return answer{}, cni.GCNetworkList(ctx, list, c.GC)
	case "STATUS":
		return answer{}, cni.GetStatusNetworkList(ctx, list)
	case "VERSION":
		info, err := cni.GetVersionInfo(ctx, list.Plugins[0].Network.Type)
		if err != nil {
			return answer{}, err
		}
		return answer{Versions: info.SupportedVersions()}, nil
	case "validate":
		capabilities, err := cni.ValidateNetworkList(ctx, list)
		return answer{Capabilities: capabilities}, err
	case "cached result":
		result, err := cni.GetNetworkListCachedResult(list, &c.Container)
		return convert(result), err
	case "cached attachments":
		attachments, err := cni.GetCachedAttachments(c.Container.ContainerID)
		return answer{Attachments: attachments}, err
	}
	return answer{}, fmt.Errorf("no such command: %q", c.Command)
}

func serveSingle(ctx context.Context, cni *libcni.CNIConfig, c call) (answer, error) {
	plugin, err := libcni.NetworkPluginConfFromBytes(c.Single)
	if err != nil {
		return answer{}, err
	}
	switch c.Command {
	case "ADD":
		result, err := cni.AddNetwork(ctx, plugin, &c.Container)
		return convert(result), err
	case "CHECK":
		return answer{}, cni.CheckNetwork(ctx, plugin, &c.Container)
	case "DEL":
		return answer{}, cni.DelNetwork(ctx, plugin, &c.Container)
	case "validate":
		capabilities, err := cni.ValidateNetwork(ctx, plugin)
		return answer{Capabilities: capabilities}, err
	}
	return answer{}, fmt.Errorf("no such command for a single plugin: %q", c.Command)
}

func convert(result types.Result) answer {
	if result == nil {
		return answer{}
	}
	results := map[string]types.Result{}
	for _, it := range version.All.SupportedVersions() {
		if converted, err := result.GetAsVersion(it); err == nil {
			results[it] = converted
		}
	}
	return answer{Results: results}
}

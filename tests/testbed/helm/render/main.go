// Renders charts in a loop with Helm's own engine, as the other side of `cargo xtask bench render`.
//
// Arguments: the number of rounds, then chart archives. Prints one line for each chart: the median of
// loading and rendering it, in nanoseconds, or a dash where Helm refuses it.
package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

func once(archive []byte) error {
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	values := map[string]any{}
	if err := chartutil.ProcessDependencies(chart, values); err != nil {
		return err
	}
	options := common.ReleaseOptions{Name: "rel", Namespace: "ns", Revision: 1, IsInstall: true}
	given, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return err
	}
	_, err = engine.Render(chart, given)
	return err
}

func main() {
	rounds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	for _, path := range os.Args[2:] {
		archive, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		if once(archive) != nil {
			fmt.Println("-")
			continue
		}
		var took []time.Duration
		for range rounds {
			begun := time.Now()
			_ = once(archive)
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		fmt.Println(took[len(took)/2].Nanoseconds())
	}
}

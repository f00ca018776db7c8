//go:build unix

package benchmarks

import (
	"slices"
	"testing"
)

// A sample is the figures of one round, by unit.
type sample map[string]float64

// A figure is one that is reported: the median for our server, for each other one with
// its kind as prefix ("bare-"), and, if it has a name, the ratio of the two
// medians, with the least and the greatest ratio of two successive rounds.
type figure struct{ unit, ratio string }

// both are the servers that are compared where there are no others.
var both = []string{ours, bare}

// compare measures servers in turns, of which the first is ours, so that whatever else
// the machine does meets all of them.
func compare(b *testing.B, kinds []string, figures []figure, round func(kind string) (sample, error)) {
	b.Helper()
	all := map[string][]sample{}
	for b.Loop() {
		for range *rounds {
			for _, kind := range kinds {
				s, err := round(kind)
				if err != nil {
					b.Fatalf("%s: %v", kind, err)
				}
				all[kind] = append(all[kind], s)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // it would be the time of all rounds
	for _, f := range figures {
		for i, kind := range kinds[1:] {
			f.report(b, all[kinds[0]], all[kind], kind, i > 0)
		}
	}
}

// report reports ours and one other; further ones have their kind before the name of the ratio, too.
func (f figure) report(b *testing.B, us, them []sample, kind string, further bool) {
	var our, their, ratios []float64
	for i := range us {
		our = append(our, us[i][f.unit])
		their = append(their, them[i][f.unit])
		ratios = append(ratios, us[i][f.unit]/them[i][f.unit])
	}
	if median(their) == 0 {
		return // it does not tell
	}
	b.ReportMetric(median(our), f.unit)
	b.ReportMetric(median(their), kind+"-"+f.unit)
	ratio := f.ratio
	if ratio == "" {
		return
	}
	if further {
		ratio = kind + "-" + ratio
	}
	b.ReportMetric(median(our)/median(their), ratio)
	b.ReportMetric(slices.Min(ratios), ratio+"-min")
	b.ReportMetric(slices.Max(ratios), ratio+"-max")
}

// median sorts values.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

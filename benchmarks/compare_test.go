//go:build unix

package benchmarks

import (
	"slices"
	"testing"
)

// A sample is the figures of one round, by unit.
type sample map[string]float64

// A figure is one that is reported: the median for our server, for the bare
// relay with the prefix "bare-", and, if it has a name, the ratio of the two
// medians, with the least and the greatest ratio of two successive rounds.
type figure struct{ unit, ratio string }

// compare measures both servers in turns, so that whatever else the machine does
// meets both.
func compare(b *testing.B, figures []figure, round func(kind string) (sample, error)) {
	b.Helper()
	all := map[string][]sample{}
	for b.Loop() {
		for range *rounds {
			for _, kind := range []string{ours, bare} {
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
		f.report(b, all[ours], all[bare])
	}
}

func (f figure) report(b *testing.B, us, them []sample) {
	var our, their, ratios []float64
	for i := range us {
		our = append(our, us[i][f.unit])
		their = append(their, them[i][f.unit])
		ratios = append(ratios, us[i][f.unit]/them[i][f.unit])
	}
	b.ReportMetric(median(our), f.unit)
	b.ReportMetric(median(their), "bare-"+f.unit)
	if f.ratio != "" && median(their) > 0 {
		b.ReportMetric(median(our)/median(their), f.ratio)
		b.ReportMetric(slices.Min(ratios), f.ratio+"-min")
		b.ReportMetric(slices.Max(ratios), f.ratio+"-max")
	}
}

// median sorts values.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

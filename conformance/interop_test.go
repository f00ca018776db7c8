package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// sometimes is the reason of a cell that passes or fails by how busy the machine is.
const sometimes = "sometimes"

// interopFile is the page that says what works with the originals.
const interopFile = "../docs/interop.md"

// TestInteropPage has docs/interop.md say what the files of expectations, that of the matrix and the deviations of
// SPEC.md say. That these are right, the tests of the originals and TestMatrix find out.
func TestInteropPage(t *testing.T) {
	known := readMatrix(t)
	rows := make(map[string][]string)
	for _, table := range matrixTables {
		for _, row := range table.rows(inChromium, inFirefox) {
			rows[table.key(row)] = table.cells
		}
	}
	for key, cells := range known.Fails {
		for cell, reason := range cells {
			if !slices.Contains(rows[key], cell) {
				t.Errorf("%s: there is no cell %q of %q", matrixFile, cell, key)
			}
			if deviations(t)[reason].id == "" && reason != sometimes {
				t.Errorf("%s: %s, %s fails without a reason, which is a deviation in SPEC.md, or %q", matrixFile, key, cell, sometimes)
			}
		}
	}
	for _, name := range []string{"netflux", "sigver", "peersox", inChromium, inFirefox} {
		if known.Versions[name] == "" {
			t.Errorf("%s: no version of %s", matrixFile, name)
		}
	}
	want := interopPage(t, known)
	if *update {
		if err := os.WriteFile(interopFile, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(interopFile)
	if err != nil || string(got) != want {
		t.Errorf("%s is old (%v): run go test ./conformance -run TestInteropPage -update", interopFile, err)
	}
}

// headings of the parts of the matrix, and what their groups are.
var matrixWords = map[string]string{
	"groups": "Three members. The joiner and the first one lose their channel in *relay*, where the third one\nrelays. " +
		"The joiner leaves, comes back and is killed; the others notice.",
	"bots": "The inviter invites the bot, and the joiner joins through it. In *relay* the two members\nhave no channel, " +
		"and the bot relays. The bot leaves, is invited again and is killed; the others\nnotice. The original's bot " +
		"runs in Node.js, on a stand-in for a package that npm has no more.",
	"pairings": "By the server first: *text*, *binary*, *1 MiB*. In *upgrade* the data channel comes and carries both,\nin " +
		"*fall back* it ends, and the server carries them again. In *restore* both clients begin anew with\nthe " +
		"pairing that they have kept.",
}

func interopPage(t *testing.T, known matrixKnown) string {
	t.Helper()
	used := make(map[string]bool) // deviations
	var b strings.Builder
	v := known.Versions
	fmt.Fprintf(&b, "# Working with the originals\n\n"+
		"What was tried between this implementation and the originals, and what came of it. Written by\n"+
		"`go test ./conformance -run TestInteropPage -update` from what the tests expect; `make\n"+
		"conformance-originals` tries all of it anew, `make test` a part, and a result that is not as\n"+
		"it stands here fails them.\n\n"+
		"Versions: netflux %s, sigver %s and peersox %s from npm; pages in Chromium %s and Firefox %s;\n"+
		"*ours* is this commit.\n\n## Who meets whom\n\n"+
		"Each combination of roles has one group of its own, over real sockets on 127.0.0.1. ✓ is\n"+
		"a pass; a cell with the id of a deviation fails by it (see [below](#the-deviations)). What is\n"+
		"original runs in the browser that is named, or in Node.js.\n",
		v["netflux"], v["sigver"], v["peersox"], v[inChromium], v[inFirefox])
	for _, table := range matrixTables {
		b.WriteString(matrixPart(table, known, used))
	}
	b.WriteString("\n## The suite on each\n\n" +
		"The [conformance suite](../conformance/README.md), SHOULD taken as MUST. Unsupported are the cases of this\n" +
		"implementation's extensions, of which the originals say that they do not know them.\n\n" +
		"| target | cases | passed | failed | unsupported | failed by |\n|---|---|---|---|---|---|\n")
	for _, target := range suiteTargets {
		b.WriteString(suiteRow(t, target.flag, target.name+" "+version(known, target.name), target.file, used))
	}
	b.WriteString("\n`(n)` is how many cases fail by a deviation. Those of `CHN-5/burst` and `MSG-11/lying-length` pass now\nand then: they depend on the machine.\n")
	b.WriteString("\n## The deviations\n\nFrom [SPEC.md](../SPEC.md#deviations-from-the-originals).\n\n" +
		"| id | original | requirement | what the original does instead | why not so |\n|---|---|---|---|---|\n")
	all := deviations(t)
	ids := slices.Collect(maps.Keys(used))
	slices.SortFunc(ids, compareIDs)
	for _, id := range ids {
		d := all[id]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", d.id, d.original, d.requirement, d.instead, d.whyNot)
	}
	return b.String()
}

// version is which one a target is.
func version(known matrixKnown, target string) string {
	_, in, ok := strings.Cut(target, "in ")
	if ok {
		return known.Versions[in]
	}
	return ""
}

func matrixPart(table matrixTable, known matrixKnown, used map[string]bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| %s | %s |\n|%s\n", strings.ToUpper(table.name[:1])+table.name[1:], matrixWords[table.name],
		strings.Join(table.roles, " | "), strings.Join(table.cells, " | "), strings.Repeat("---|", len(table.roles)+len(table.cells)))
	rows, fails, maybe := 0, 0, 0
	for _, row := range table.rows(inChromium, inFirefox) {
		rows++
		cells := make([]string, len(table.cells))
		for i, cell := range table.cells {
			switch reason := known.Fails[table.key(row)][cell]; reason {
			case "":
				cells[i] = "✓"
			case sometimes:
				cells[i] = "*"
				maybe++
			default:
				cells[i] = reason
				used[reason] = true
				fails++
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(row, " | "), strings.Join(cells, " | "))
	}
	fmt.Fprintf(&b, "\n%d combinations, %d of %d cells pass", rows, rows*len(table.cells)-fails-maybe, rows*len(table.cells))
	if maybe > 0 {
		fmt.Fprintf(&b, "; %d, marked by *, pass or fail by how busy the machine is: what originals\nsend to each other is not in this implementation's hands", maybe)
	}
	b.WriteString(".\n")
	return b.String()
}

// suiteTargets are those that the suite runs on, by the flag of the cases and the file of expectations; "" for ours.
var suiteTargets = []struct{ flag, name, file string }{
	{"sigver", "our signaling server", ""},
	{"sigver", "sigver 20.1.0", "sigver-20.1.0.json"},
	{"peer", "our member", ""},
	{"peer", "netflux 4.3.1, a page in Chromium", "netflux-4.3.1.json"},
	{"peer", "netflux 4.3.1, a page in Firefox", "netflux-4.3.1-firefox.json"},
	{"bot", "our bot", ""},
	{"bot", "netflux 4.3.1, the bot in Node.js", "netflux-bot-4.3.1.json"},
	{"peersox", "our pairing server", ""},
	{"peersox", "peersox 0.3.0, the server", "peersox-0.3.0.json"},
	{"pairpeer", "our pairing client", ""},
	{"pairpeer", "peersox 0.3.0, a page in Chromium", "peersox-client-0.3.0.json"},
	{"pairpeer", "peersox 0.3.0, a page in Firefox", "peersox-client-0.3.0-firefox.json"},
}

func suiteRow(t *testing.T, flag, name, file string, used map[string]bool) string {
	t.Helper()
	n := len(everything()[flag])
	var e expectations
	if file != "" {
		e = readExpectations(t, file)
	}
	by := make(map[string]int)
	for _, dev := range e.Fails {
		by[dev]++
		used[dev] = true
	}
	ids := slices.Collect(maps.Keys(by))
	slices.SortFunc(ids, compareIDs)
	for i, id := range ids {
		ids[i] = fmt.Sprintf("%s (%d)", id, by[id])
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %s |\n", strings.TrimSpace(name), n, n-len(e.Fails)-len(e.Unsupported), len(e.Fails), len(e.Unsupported), strings.Join(ids, ", "))
}

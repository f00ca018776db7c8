package conformance

import (
	"path"
	"slices"
	"strings"
)

// A Selection says which cases are to be run. Its zero value selects all.
type Selection struct {
	Chapters []string // of the cases' ids, such as SIG; none for all
	// IDs are patterns of which a case's id or one of its requirements has to match one,
	// SIG-7/text, SIG-7 or SIG-*, where * stands for any characters; none for all.
	IDs []string
}

// Match reports whether a case is selected.
func (s Selection) Match(c *Case) bool {
	if len(s.Chapters) > 0 && !slices.Contains(s.Chapters, c.Chapter()) {
		return false
	}
	names := append([]string{c.ID}, c.Requirements...)
	return len(s.IDs) == 0 || slices.ContainsFunc(s.IDs, func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return matchID(pattern, name) })
	})
}

// Check returns the first pattern that is malformed or a chapter or pattern that none of
// these cases matches, and ok false; a selection that selects nothing is a mistake.
func (s Selection) Check(all []*Case) (wrong string, ok bool) {
	for _, chapter := range s.Chapters {
		if one := (Selection{Chapters: []string{chapter}}); !slices.ContainsFunc(all, one.Match) {
			return chapter, false
		}
	}
	for _, pattern := range s.IDs {
		if one := (Selection{IDs: []string{pattern}}); !slices.ContainsFunc(all, one.Match) {
			return pattern, false
		}
	}
	return "", true
}

// matchID is path.Match in which * takes slashes too; a malformed pattern matches nothing.
func matchID(pattern, name string) bool {
	flat := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(flat.Replace(pattern), flat.Replace(name))
	return ok && err == nil
}

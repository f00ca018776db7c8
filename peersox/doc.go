// Package peersox pairs two clients by a six-digit code.
package peersox

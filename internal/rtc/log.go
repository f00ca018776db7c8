package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers gives pion its loggers. Its own would write to standard error, at levels that environment variables choose.
type loggers struct{ to *slog.Logger }

func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	if l.to == nil {
		return logger{}
	}
	return logger{l.to.With("pion", scope)}
}

// A logger passes on what pion says. What it thinks to be an error is mostly a peer that went, so all is at Debug; its
// trace, which is lines for each packet, is left out.
type logger struct{ to *slog.Logger }

func (l logger) log(level, msg string) {
	if l.to != nil {
		l.to.Debug(msg, "level", level)
	}
}

func (l logger) logf(level, format string, args []any) {
	if l.to != nil && l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug(fmt.Sprintf(format, args...), "level", level)
	}
}

func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(msg string)                  { l.log("debug", msg) }
func (l logger) Debugf(format string, args ...any) { l.logf("debug", format, args) }
func (l logger) Info(msg string)                   { l.log("info", msg) }
func (l logger) Infof(format string, args ...any)  { l.logf("info", format, args) }
func (l logger) Warn(msg string)                   { l.log("warn", msg) }
func (l logger) Warnf(format string, args ...any)  { l.logf("warn", format, args) }
func (l logger) Error(msg string)                  { l.log("error", msg) }
func (l logger) Errorf(format string, args ...any) { l.logf("error", format, args) }

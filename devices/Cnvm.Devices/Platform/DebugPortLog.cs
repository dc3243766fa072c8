using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Platform;

internal static partial class DebugPortLog
{
    [LoggerMessage(40, LogLevel.Information,
        "[Debug I/O port: {Source} code 0x{Code:x}] {Seconds:F6} seconds ({Suppressed} repeats not shown)")]
    public static partial void Code(ILogger logger, string source, byte code, double seconds, long suppressed);
}

using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Bus;

internal static partial class BusLog
{
    [LoggerMessage(1, LogLevel.Debug,
        "{Access} of {Length} bytes at {Space} 0x{Address:x}: nobody answers ({Suppressed} like it not shown)")]
    public static partial void Unanswered(ILogger logger, string access, int length, string space, ulong address, long suppressed);

    [LoggerMessage(2, LogLevel.Debug,
        "{Device} refuses a {Access} of {Length} bytes at {Space} 0x{Address:x}: {Result} ({Suppressed} like it not shown)")]
    public static partial void Refused(
        ILogger logger, string device, string access, int length, string space, ulong address, IoResult result, long suppressed);
}

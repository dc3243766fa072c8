using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Pci;

internal static partial class PciLog
{
    [LoggerMessage(20, LogLevel.Warning,
        "{Device}: the guest placed BAR {Bar} at 0x{Address:x}, where another device answers; it stays unmapped "
        + "({Suppressed} like it not shown)")]
    public static partial void BarBlocked(ILogger logger, string device, int bar, ulong address, long suppressed);
}

using System.Diagnostics;
using Cnvm.Devices.Bus;
using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Port 0x80: what a guest writes marks a moment of its boot, logged with the time since the machine started. The first write of
/// each code is always logged; repeats are rate-limited, for kernels also write here to delay. Stateless but for that.
/// </summary>
public sealed class DebugPort : IIoDevice
{
    public const ushort Port = 0x80;

    public const ulong Size = 1;

    private readonly ILogger _logger;
    private readonly long _start;
    private readonly LogRateLimit _limit = new();
    private readonly long[] _seen = new long[4];

    /// <param name="startTimestamp"><see cref="Stopwatch.GetTimestamp"/> of the moment that times count from.</param>
    public DebugPort(ILogger logger, long startTimestamp)
    {
        ArgumentNullException.ThrowIfNull(logger);
        _logger = logger;
        _start = startTimestamp;
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        byte code = data[0];
        long bit = 1L << (code & 63);
        long suppressed = 0;
        bool isFirst = (Interlocked.Or(ref _seen[code >> 6], bit) & bit) == 0;
        if (_logger.IsEnabled(LogLevel.Information) && (isFirst || _limit.TryTake(out suppressed)))
        {
            DebugPortLog.Code(_logger, Source(code), code, Stopwatch.GetElapsedTime(_start).TotalSeconds, suppressed);
        }

        return IoResult.Ok;
    }

    // Ranges by stage of boot, as Cloud Hypervisor's tools read them.
    private static string Source(byte code) => code switch
    {
        < 0x20 => "Firmware",
        < 0x40 => "Bootloader",
        < 0x60 => "Kernel",
        < 0x80 => "Userspace",
        _ => "Custom",
    };
}

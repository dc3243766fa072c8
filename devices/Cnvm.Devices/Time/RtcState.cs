namespace Cnvm.Devices.Time;

/// <summary>An MC146818 with its battery-backed bytes.</summary>
public sealed record RtcState
{
    /// <summary>
    /// 128 bytes as the guest reads them, but for the time registers: those are live only while the clock is halted by the set bit
    /// or the divider.
    /// </summary>
    public required byte[] Cmos { get; init; }

    /// <summary>The index port, 0 to 127.</summary>
    public byte Index { get; init; }

    /// <summary>The guest's clock minus the host's UTC, in ticks of 100 ns: it follows the wall clock, also across a pause.</summary>
    public long OffsetTicks { get; init; }

    /// <summary>The guest's second, since the year 1, up to which update and alarm are accounted for.</summary>
    public long LastSecond { get; init; }

    /// <summary>VM time in nanoseconds that periods of the periodic interrupt count from.</summary>
    public ulong PeriodOrigin { get; init; }

    /// <summary>Periods since then that are accounted for.</summary>
    public ulong LastPeriod { get; init; }
}

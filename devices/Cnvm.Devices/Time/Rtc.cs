using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Platform;

namespace Cnvm.Devices.Time;

/// <summary>
/// MC146818 real-time clock and CMOS memory (Motorola MC146818 datasheet; century byte at 0x32 as PCs have it). Its time of day
/// is the host's plus an offset that the guest sets; its interrupts are timed by VM time. Flags are brought up to date when the
/// guest looks, so an idle clock costs nothing. Any thread.
/// </summary>
public sealed partial class Rtc : IIoDevice, IDisposable
{
    /// <summary>The index port; data follows.</summary>
    public const ushort IndexPort = 0x70;

    public const ulong Size = 2;

    private const string Name = "rtc";

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly IVmClock _clock;
    private readonly IInterruptLine _line;
    private readonly IMachineEvents? _resetByStatus;
    private readonly IVmTimer _timer;
    private readonly byte[] _cmos = new byte[CmosSize];
    private byte _index;
    private long _offset;
    private long _lastSecond;
    private ulong _periodOrigin;
    private ulong _lastPeriod;

    /// <param name="time">Gives the host's UTC.</param>
    /// <param name="line">Interrupt 8.</param>
    /// <param name="resetByStatus">
    /// When given, a zero written to the shutdown status byte with the NMI off (index 0x8f) resets the machine, as firmware
    /// for this kind of machine expects.
    /// </param>
    public Rtc(TimeProvider time, IVmClock clock, IInterruptLine line, RtcMemorySizes memory, IMachineEvents? resetByStatus = null)
    {
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentNullException.ThrowIfNull(line);
        _time = time;
        _clock = clock;
        _line = line;
        _resetByStatus = resetByStatus;
        _timer = clock.CreateTimer(OnTimer);
        memory.WriteTo(_cmos);
        _cmos[RegisterA] = DividerNormal | DefaultRate;
        _cmos[RegisterB] = B24Hour;
        _lastSecond = UtcTicks() / TimeSpan.TicksPerSecond;
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        if (offset == 0)
        {
            // The index is write-only.
            data[0] = 0xff;
            return IoResult.Ok;
        }

        lock (_lock)
        {
            data[0] = ReadRegister(_index & IndexMask);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1)
        {
            return IoResult.InvalidSize;
        }

        bool isReset;
        lock (_lock)
        {
            if (offset == 0)
            {
                _index = data[0];
                return IoResult.Ok;
            }

            isReset = _index == (NmiDisable | ShutdownStatus) && data[0] == 0;
            WriteRegister(_index & IndexMask, data[0]);
        }

        if (isReset)
        {
            _resetByStatus?.RequestReset(Name);
        }

        return IoResult.Ok;
    }

    /// <summary>The RESET pin: interrupts off, flags cleared; time, alarm and memory stay, for they have a battery.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            Account();
            _index = 0;
            _cmos[RegisterB] &= unchecked((byte)~(BPeriodic | BAlarm | BUpdate | BSquareWave));
            _cmos[RegisterC] = 0;
            UpdateLine();
            Schedule();
        }
    }

    public RtcState Save()
    {
        lock (_lock)
        {
            return new RtcState
            {
                Cmos = [.. _cmos],
                Index = _index,
                OffsetTicks = _offset,
                LastSecond = _lastSecond,
                PeriodOrigin = _periodOrigin,
                LastPeriod = _lastPeriod,
            };
        }
    }

    /// <summary>
    /// Takes a saved state and drives the line as it says. VM time has to be what it was when the state was saved, before the
    /// machine runs.
    /// </summary>
    /// <exception cref="DeviceStateException">The memory has another size, or a time is outside what a date can be.</exception>
    public void Restore(RtcState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Cmos is not { Length: CmosSize })
        {
            throw new DeviceStateException(Name, nameof(state.Cmos), $"has {state.Cmos?.Length ?? 0} bytes, not {CmosSize}");
        }

        if (state.OffsetTicks is < -LongestOffset or > LongestOffset)
        {
            throw new DeviceStateException(Name, nameof(state.OffsetTicks), $"{state.OffsetTicks} is more than a date can be off");
        }

        if (state.LastSecond is < 0 or > LastTick / TimeSpan.TicksPerSecond)
        {
            throw new DeviceStateException(Name, nameof(state.LastSecond), $"{state.LastSecond} is not a time");
        }

        lock (_lock)
        {
            state.Cmos.CopyTo(_cmos, 0);
            _index = state.Index;
            _offset = state.OffsetTicks;
            _lastSecond = state.LastSecond;
            _periodOrigin = state.PeriodOrigin;
            _lastPeriod = state.LastPeriod;
            UpdateLine();
            Schedule();
        }
    }

    public void Dispose() => _timer.Dispose();
}

using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Time;

/// <summary>
/// 8254 interval timer (Intel 8254 datasheet, order 231164): counter 0 raises interrupt 0, counter 2 is gated and read through
/// port 0x61. It counts in VM time. Any thread.
/// </summary>
public sealed class Pit : IDisposable
{
    public const ushort FirstPort = 0x40;
    public const ushort SystemControlPort = 0x61;

    /// <summary>Clock of the counters in hertz.</summary>
    public const ulong Frequency = 1_193_182;

    private const string Name = "pit";
    private const int ControlWord = 3;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    // Ticks of a guest that asks for more than 10 kHz are merged; the vCPUs could not take them anyway.
    private const ulong ShortestPeriod = 100_000;

    // Port 0x61 (82371SB datasheet §2.4.5): gate 2, speaker, refresh toggle, output 2.
    private const byte Gate2 = 1 << 0;
    private const byte Speaker = 1 << 1;
    private const byte Refresh = 1 << 4;
    private const byte Output2 = 1 << 5;
    private const ulong RefreshHalfPeriod = 15_085;

    private readonly Lock _lock = new();
    private readonly IVmClock _clock;
    private readonly IInterruptLine _line;
    private readonly IVmTimer _timer;
    private readonly PitChannel[] _channels = [new(initialGate: true), new(initialGate: true), new(initialGate: false)];
    private bool _speaker;
    private bool _lineLevel;
    private ulong? _due;

    /// <param name="line">Interrupt 0.</param>
    public Pit(IVmClock clock, IInterruptLine line)
    {
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentNullException.ThrowIfNull(line);
        _clock = clock;
        _line = line;
        _timer = clock.CreateTimer(OnTimer);
    }

    /// <summary>Registers the counters and port 0x61.</summary>
    /// <exception cref="IoBusConflictException">A port is taken.</exception>
    public void Register(IoBus ports)
    {
        ArgumentNullException.ThrowIfNull(ports);
        ports.Register(FirstPort, 4, new CounterPorts(this), "pit");
        ports.Register(SystemControlPort, 1, new SystemControl(this), "system control port b");
    }

    /// <summary>Power-on state: no counter is loaded.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            foreach (PitChannel channel in _channels)
            {
                channel.Reset();
            }

            _speaker = false;
            SetLine(false);
            Schedule(_clock.Nanoseconds);
        }
    }

    public PitState Save()
    {
        lock (_lock)
        {
            return new PitState
            {
                Channels = [.. _channels.Select(c => c.Save())],
                SpeakerData = _speaker,
                LineLevel = _lineLevel,
                Due = _due,
            };
        }
    }

    /// <summary>Takes a saved state. VM time has to be what it was when the state was saved, before the machine runs.</summary>
    /// <exception cref="DeviceStateException">A counter holds what it cannot hold.</exception>
    public void Restore(PitState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Channels is null || state.Channels.Length != _channels.Length)
        {
            throw new DeviceStateException(Name, nameof(state.Channels), $"{state.Channels?.Length ?? 0} counters, not 3");
        }

        foreach (PitChannelState channel in state.Channels)
        {
            PitChannel.Validate(channel, Name);
        }

        lock (_lock)
        {
            for (int i = 0; i < _channels.Length; i++)
            {
                _channels[i].Load(state.Channels[i]);
            }

            _speaker = state.SpeakerData;
            SetLine(state.LineLevel);
            SetDue(state.Due);
        }
    }

    public void Dispose() => _timer.Dispose();

    internal static long ToTicks(ulong nanoseconds) => (long)((UInt128)nanoseconds * Frequency / NanosecondsPerSecond);

    /// <summary>The first nanosecond at which that many ticks have passed.</summary>
    internal static ulong ToNanoseconds(long ticks) =>
        (ulong)((((UInt128)(ulong)ticks * NanosecondsPerSecond) + (Frequency - 1)) / Frequency);

    private void OnTimer()
    {
        lock (_lock)
        {
            ulong now = _clock.Nanoseconds;
            if (_due is not { } due || now < due)
            {
                return;
            }

            // The output is high between ticks; the pin takes the edge.
            SetLine(false);
            SetLine(true);
            Schedule(now);
        }
    }

    /// <summary>Sets the timer for the next rise of output 0. Rises that are past by then are not made up for.</summary>
    private void Schedule(ulong now)
    {
        ulong? rise = _channels[0].NextRise(now);
        SetDue(rise is { } next && _channels[0].IsPeriodic ? Math.Max(next, now + ShortestPeriod) : rise);
    }

    private void SetDue(ulong? due)
    {
        _due = due;
        if (due is { } deadline)
        {
            _timer.Arm(deadline);
        }
        else
        {
            _timer.Disarm();
        }
    }

    private void SetLine(bool level)
    {
        _lineLevel = level;
        _line.SetLevel(level);
    }

    private void WriteControl(byte value)
    {
        ulong now = _clock.Nanoseconds;
        int select = value >> 6;
        if (select == 3)
        {
            // Read-back: bits 5 and 4, low, latch count and status of the counters in bits 3:1.
            for (int i = 0; i < _channels.Length; i++)
            {
                if ((value & (2 << i)) == 0)
                {
                    continue;
                }

                if ((value & 0x20) == 0)
                {
                    _channels[i].LatchCount(now);
                }

                if ((value & 0x10) == 0)
                {
                    _channels[i].LatchStatus(now);
                }
            }
        }
        else if ((value & 0x30) == 0)
        {
            _channels[select].LatchCount(now);
        }
        else
        {
            _channels[select].SetControl(value);
            if (select == 0)
            {
                SetLine(_channels[0].Output(now));
                Schedule(now);
            }
        }
    }

    private void WriteCount(int channel, byte value)
    {
        ulong now = _clock.Nanoseconds;
        _channels[channel].WriteCount(value, now);
        if (channel == 0)
        {
            SetLine(_channels[0].Output(now));
            Schedule(now);
        }
    }

    private sealed class CounterPorts(Pit pit) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            if (offset == ControlWord)
            {
                // The control register cannot be read.
                return IoResult.InvalidRegister;
            }

            lock (pit._lock)
            {
                data[0] = pit._channels[offset].ReadCount(pit._clock.Nanoseconds);
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            lock (pit._lock)
            {
                if (offset == ControlWord)
                {
                    pit.WriteControl(data[0]);
                }
                else
                {
                    pit.WriteCount((int)offset, data[0]);
                }
            }

            return IoResult.Ok;
        }
    }

    private sealed class SystemControl(Pit pit) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            lock (pit._lock)
            {
                ulong now = pit._clock.Nanoseconds;
                data[0] = (byte)((pit._channels[2].Gate ? Gate2 : 0)
                    | (pit._speaker ? Speaker : 0)
                    | ((now / RefreshHalfPeriod & 1) != 0 ? Refresh : 0)
                    | (pit._channels[2].Output(now) ? Output2 : 0));
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            lock (pit._lock)
            {
                pit._channels[2].SetGate((data[0] & Gate2) != 0, pit._clock.Nanoseconds);
                pit._speaker = (data[0] & Speaker) != 0;
            }

            return IoResult.Ok;
        }
    }
}

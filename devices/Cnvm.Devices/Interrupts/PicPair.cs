using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Interrupts;

/// <summary>
/// The two 8259A of a PC, the slave behind input 2 of the master, with the edge/level control registers (Intel 8259A datasheet;
/// ELCR: 82371SB datasheet §2.5.1). Any thread.
/// </summary>
public sealed class PicPair
{
    public const ushort MasterPort = 0x20;
    public const ushort SlavePort = 0xa0;
    public const ushort LevelControlPort = 0x4d0;

    private const string Name = "pic";

    // Spurious interrupts come as input 7 (8259A datasheet, "Interrupt Sequence").
    private const int Spurious = 7;
    private const int Cascade = 2;

    private readonly Lock _lock = new();
    private readonly IInterruptLine _output;
    private readonly Input[] _inputs = new Input[16];

    // Inputs 0, 1 and 2 of the master and 0 (RTC) and 5 (coprocessor) of the slave are always edge-triggered.
    private readonly PicChip _master = new(levelWritable: 0xf8);
    private readonly PicChip _slave = new(levelWritable: 0xde);
    private bool _outputLevel;

    /// <param name="output">INTR of the boot processor; asserted while there is something to acknowledge.</param>
    public PicPair(IInterruptLine output)
    {
        ArgumentNullException.ThrowIfNull(output);
        _output = output;
        for (int i = 0; i < _inputs.Length; i++)
        {
            _inputs[i] = new Input(this, i);
        }
    }

    /// <summary>Registers all ports of the pair.</summary>
    /// <exception cref="IoBusConflictException">A port is taken.</exception>
    public void Register(IoBus ports)
    {
        ArgumentNullException.ThrowIfNull(ports);
        ports.Register(MasterPort, 2, new ChipPorts(this, _master), "pic master");
        ports.Register(SlavePort, 2, new ChipPorts(this, _slave), "pic slave");
        ports.Register(LevelControlPort, 2, new LevelControlPorts(this), "pic elcr");
    }

    /// <summary>ISA interrupt 0 to 15; 2 is the cascade and not a device's.</summary>
    public IInterruptLine GetLine(int irq)
    {
        if (irq == Cascade)
        {
            throw new ArgumentOutOfRangeException(nameof(irq), irq, "input 2 carries the slave");
        }

        return _inputs[irq];
    }

    /// <summary>The processor's acknowledge cycle: the vector that it takes, the spurious one if the request is gone.</summary>
    public byte Acknowledge()
    {
        lock (_lock)
        {
            int input = _master.Pending();
            byte vector;
            if (input < 0)
            {
                vector = (byte)(_master.VectorBase + Spurious);
            }
            else
            {
                _master.Acknowledge(input);
                vector = (byte)(_master.VectorBase + input);
                if (input == Cascade)
                {
                    int behind = _slave.Pending();
                    if (behind >= 0)
                    {
                        _slave.Acknowledge(behind);
                    }

                    vector = (byte)(_slave.VectorBase + (behind < 0 ? Spurious : behind));
                }
            }

            Update();
            return vector;
        }
    }

    /// <summary>Power-on state; the levels at the inputs stay, for they belong to the devices.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _master.Reset();
            _slave.Reset();
            Update();
        }
    }

    public PicState Save()
    {
        lock (_lock)
        {
            return new PicState(_master.Save(), _slave.Save());
        }
    }

    /// <exception cref="DeviceStateException">A register holds what it cannot hold.</exception>
    public void Restore(PicState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _master.Validate(state.Master, Name);
        _slave.Validate(state.Slave, Name);
        lock (_lock)
        {
            _master.Load(state.Master);
            _slave.Load(state.Slave);
            Update();

            // The processor's side may not know the level that this object had.
            _output.SetLevel(_outputLevel);
        }
    }

    private void Update()
    {
        _master.SetCascade(_slave.Pending() >= 0);
        bool level = _master.Pending() >= 0;
        if (level != _outputLevel)
        {
            _outputLevel = level;
            _output.SetLevel(level);
        }
    }

    private sealed class Input(PicPair pair, int irq) : IInterruptLine
    {
        public void SetLevel(bool asserted)
        {
            lock (pair._lock)
            {
                (irq < 8 ? pair._master : pair._slave).SetInput(irq & 7, asserted);
                pair.Update();
            }
        }
    }

    private sealed class ChipPorts(PicPair pair, PicChip chip) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            lock (pair._lock)
            {
                data[0] = chip.Read(isOddPort: offset == 1);
                pair.Update();
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return IoResult.InvalidSize;
            }

            lock (pair._lock)
            {
                if (offset == 0)
                {
                    chip.WriteEven(data[0]);
                }
                else
                {
                    chip.WriteOdd(data[0]);
                }

                pair.Update();
            }

            return IoResult.Ok;
        }
    }

    private sealed class LevelControlPorts(PicPair pair) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length > 2 || offset + (ulong)data.Length > 2)
            {
                return IoResult.InvalidSize;
            }

            lock (pair._lock)
            {
                for (int i = 0; i < data.Length; i++)
                {
                    data[i] = Chip(offset + (ulong)i).LevelControl;
                }
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length > 2 || offset + (ulong)data.Length > 2)
            {
                return IoResult.InvalidSize;
            }

            lock (pair._lock)
            {
                for (int i = 0; i < data.Length; i++)
                {
                    Chip(offset + (ulong)i).LevelControl = data[i];
                }

                pair.Update();
            }

            return IoResult.Ok;
        }

        private PicChip Chip(ulong offset) => offset == 0 ? pair._master : pair._slave;
    }
}

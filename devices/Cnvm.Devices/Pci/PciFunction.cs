using System.Buffers.Binary;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Pci;

/// <summary>
/// Base of every PCI function: its configuration space (PCI Local Bus 3.0 §6), BARs, capabilities, MSI-X and interrupt pin.
/// A subclass adds BARs and capabilities in its constructor; then <see cref="PciHost.Attach"/> gives it a place.
/// Configuration accesses run under one lock of the host; the overridable members are called with it held, so they must not wait
/// for a thread that accesses configuration space.
/// </summary>
public abstract partial class PciFunction
{
    private readonly byte[] _config;
    private readonly byte[] _writeMask;
    private readonly PciBar?[] _bars = new PciBar?[PciConfigSpace.BarCount];
    private readonly ILogger _logger;
    private readonly LogRateLimit _barLimit = new();
    private byte[] _resetConfig = [];
    private int _nextCapability = PciConfigSpace.FirstCapability;
    private int _lastCapability;
    private int _msixCapability;
    private MsixTable? _msix;

    // A lock of its own until the host lends the one that orders all functions.
    private Lock _configLock = new();
    private PciSegment? _segment;

    /// <param name="name">The device's identifier in logs, saved state and errors.</param>
    /// <param name="configSize">256, or 4096 for a function with extended capabilities.</param>
    protected PciFunction(string name, PciIdentity identity, ILogger logger, int configSize = PciConfigSpace.Size)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(logger);
        if (configSize is not (PciConfigSpace.Size or PciConfigSpace.ExtendedSize))
        {
            throw new ArgumentOutOfRangeException(nameof(configSize), configSize, "256 or 4096");
        }

        Name = name;
        _logger = logger;
        _config = new byte[configSize];
        _writeMask = new byte[configSize];

        SetWord(PciConfigSpace.VendorId, identity.VendorId);
        SetWord(PciConfigSpace.DeviceId, identity.DeviceId);
        _config[PciConfigSpace.RevisionId] = identity.Revision;
        _config[PciConfigSpace.ClassCode] = (byte)identity.ClassCode;
        _config[PciConfigSpace.ClassCode + 1] = (byte)(identity.ClassCode >> 8);
        _config[PciConfigSpace.ClassCode + 2] = (byte)(identity.ClassCode >> 16);
        SetWord(PciConfigSpace.SubsystemVendorId, identity.SubsystemVendorId);
        SetWord(PciConfigSpace.SubsystemId, identity.SubsystemId);

        SetWriteMask(PciConfigSpace.Command, [
            (byte)(PciConfigSpace.CommandMemory | PciConfigSpace.CommandBusMaster),
            PciConfigSpace.CommandInterruptDisable >> 8]);

        // Cache line size and latency timer are writable and without effect, as PCI Express has them (§7.5.1.3 and on).
        SetWriteMask(0x0c, [0xff, 0x00]);
        SetWriteMask(PciConfigSpace.InterruptLine, [0xff]);
    }

    public string Name { get; }

    /// <summary>Where the function is; null while it is not attached.</summary>
    public PciAddress? Address { get; private set; }

    /// <summary>The function may write memory and send messages (command register, bit 2).</summary>
    public bool IsBusMaster => (Volatile.Read(ref _config[PciConfigSpace.Command]) & PciConfigSpace.CommandBusMaster) != 0;

    /// <summary>The MSI-X table, if <see cref="AddMsix"/> gave it one.</summary>
    public MsixTable? Msix => _msix;

    /// <summary>Bytes of configuration space: 256 or 4096.</summary>
    public int ConfigSize => _config.Length;

    /// <summary>The base that a BAR holds, whether it is decoded or not.</summary>
    public ulong GetBarBase(int index)
    {
        lock (_configLock)
        {
            return ReadBarBase(Bar(index));
        }
    }

    /// <summary>Where a BAR's region answers on the memory bus now; null while it does not.</summary>
    public ulong? GetBarMapping(int index)
    {
        lock (_configLock)
        {
            return Bar(index).Mapping?.Base;
        }
    }

    /// <summary>A configuration read of 1, 2 or 4 bytes inside one dword; anything else reads as ones.</summary>
    public void ReadConfig(int offset, Span<byte> data)
    {
        if (!IsConfigAccess(offset, data.Length))
        {
            data.Fill(0xff);
            return;
        }

        lock (_configLock)
        {
            OnConfigRead(offset, data.Length);
            _config.AsSpan(offset, data.Length).CopyTo(data);
            if (offset <= PciConfigSpace.Status && offset + data.Length > PciConfigSpace.Status && IsInterruptPending)
            {
                data[PciConfigSpace.Status - offset] |= (byte)PciConfigSpace.StatusInterrupt;
            }
        }
    }

    /// <summary>A configuration write of 1, 2 or 4 bytes inside one dword; anything else is dropped.</summary>
    public void WriteConfig(int offset, ReadOnlySpan<byte> data)
    {
        if (!IsConfigAccess(offset, data.Length))
        {
            return;
        }

        lock (_configLock)
        {
            for (int i = 0; i < data.Length; i++)
            {
                byte mask = _writeMask[offset + i];
                _config[offset + i] = (byte)((_config[offset + i] & ~mask) | (data[i] & mask));
            }

            if (offset < PciConfigSpace.Command + 2 && offset + data.Length > PciConfigSpace.Command)
            {
                UpdateMappings();
                UpdatePin();
            }
            else if (offset is >= PciConfigSpace.Bar0 and < PciConfigSpace.Bar0 + (4 * PciConfigSpace.BarCount))
            {
                UpdateMappings();
            }

            int control = _msixCapability + 2;
            if (_msix is not null && offset < control + 2 && offset + data.Length > control)
            {
                ApplyMsixControl();
            }

            OnConfigWritten(offset, data.Length);
        }
    }

    /// <summary>Power-on state: configuration as built, BARs back at the bases that the machine chose and not decoded.</summary>
    public virtual void Reset()
    {
        lock (_configLock)
        {
            if (_resetConfig.Length != 0)
            {
                _resetConfig.CopyTo(_config, 0);
            }

            _msix?.Reset();
            UpdateMappings();
        }

        SetInterruptPin(asserted: false);
    }

    /// <summary>Configuration space and MSI-X table, for the state record of a subclass.</summary>
    protected PciFunctionState SaveFunction()
    {
        lock (_configLock)
        {
            return new PciFunctionState { Config = [.. _config], IsPinAsserted = IsInterruptPending, Msix = _msix?.Save() };
        }
    }

    /// <summary>Takes what <see cref="SaveFunction"/> gave, maps the BARs as they were, makes MSI-X live and drives the pin.</summary>
    /// <exception cref="DeviceStateException">The state is of a function that is built differently; nothing has changed.</exception>
    protected void RestoreFunction(PciFunctionState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        lock (_configLock)
        {
            Validate(state);
            state.Config.CopyTo(_config, 0);
            if (_msix is not null && state.Msix is not null)
            {
                _msix.Restore(state.Msix, Name);
            }

            UpdateMappings();
            ApplyMsixControl();
            SetInterruptPin(state.IsPinAsserted);
        }
    }

    /// <summary>
    /// Called before a configuration read copies its bytes; a subclass may refresh them with <see cref="SetConfigBytes"/>.
    /// </summary>
    protected virtual void OnConfigRead(int offset, int length)
    {
    }

    /// <summary>Called after a configuration write has changed the writable bits.</summary>
    protected virtual void OnConfigWritten(int offset, int length)
    {
    }

    /// <summary>Called when a BAR's region began to answer at <paramref name="mapping"/>, moved there, or, with null, stopped.</summary>
    protected virtual void OnBarMapped(int index, ulong? mapping)
    {
    }

    /// <summary>Bytes of configuration space as they are; call from the overridable members.</summary>
    protected ReadOnlySpan<byte> GetConfigBytes(int offset, int length) => _config.AsSpan(offset, length);

    /// <summary>Sets bytes whether the guest may write them or not; call from the constructor or the overridable members.</summary>
    protected void SetConfigBytes(int offset, ReadOnlySpan<byte> value) => value.CopyTo(_config.AsSpan(offset));

    /// <summary>Says which bits the guest may write, from the constructor.</summary>
    protected void SetWriteMask(int offset, ReadOnlySpan<byte> mask) => mask.CopyTo(_writeMask.AsSpan(offset));

    private static bool IsInsideDword(int offset, int length) => (offset & 3) + length <= 4;

    private bool IsConfigAccess(int offset, int length) =>
        length is 1 or 2 or 4 && offset >= 0 && offset <= _config.Length - length && IsInsideDword(offset, length);

    private void Validate(PciFunctionState state)
    {
        if (state.Config is null || state.Config.Length != _config.Length)
        {
            throw new DeviceStateException(
                Name, nameof(state.Config), $"has {state.Config?.Length ?? 0} bytes, the function {_config.Length}");
        }

        for (int i = 0; i < _config.Length; i++)
        {
            if (((state.Config[i] ^ _config[i]) & ~_writeMask[i]) != 0)
            {
                throw new DeviceStateException(
                    Name, nameof(state.Config), $"read-only byte 0x{i:x2} is 0x{state.Config[i]:x2}, the function has 0x{_config[i]:x2}");
            }
        }

        if (state.IsPinAsserted && _pin is null)
        {
            throw new DeviceStateException(Name, nameof(state.IsPinAsserted), "the function has no interrupt pin");
        }

        if ((state.Msix is null) != (_msix is null))
        {
            throw new DeviceStateException(Name, nameof(state.Msix), "MSI-X on one side only");
        }

        if (state.Msix is not null)
        {
            _msix?.Validate(state.Msix, Name);
        }
    }

    private void SetWord(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(offset), value);

    private ushort GetWord(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_config.AsSpan(offset));
}

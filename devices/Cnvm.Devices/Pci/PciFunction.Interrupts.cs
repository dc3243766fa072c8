using System.Buffers.Binary;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Pci;

/// <content>Capabilities (PCI Local Bus 3.0 §6.7), MSI-X (§6.8.2) and the interrupt pin (§6.2.4).</content>
public abstract partial class PciFunction
{
    // Below the configuration lock: a device raises its pin from any thread, also from inside a configuration access.
    private readonly Lock _pinLock = new();
    private IInterruptLine? _pin;
    private bool _isPinAsserted;

    private bool IsInterruptPending => Volatile.Read(ref _isPinAsserted);

    /// <summary>Adds a capability, from the constructor of a subclass; its bytes are read-only until a write mask says otherwise.</summary>
    /// <param name="id">The capability ID (§6.7).</param>
    /// <param name="body">What follows the ID and the next pointer.</param>
    /// <returns>Offset of the capability's ID byte.</returns>
    protected int AddCapability(byte id, ReadOnlySpan<byte> body)
    {
        int offset = _nextCapability;
        int length = 2 + body.Length;
        if (offset + length > PciConfigSpace.Size)
        {
            throw new ArgumentException($"{Name}: no room for a capability of {length} bytes at 0x{offset:x}", nameof(body));
        }

        _config[offset] = id;
        _config[offset + 1] = 0;
        body.CopyTo(_config.AsSpan(offset + 2));
        _config[_lastCapability == 0 ? PciConfigSpace.CapabilitiesPointer : _lastCapability + 1] = (byte)offset;
        _config[PciConfigSpace.Status] |= (byte)PciConfigSpace.StatusCapabilities;
        _lastCapability = offset;
        _nextCapability = (offset + length + 3) & ~3;
        return offset;
    }

    /// <summary>
    /// Adds the MSI-X capability (§6.8.2), from the constructor of a subclass, which puts <see cref="MsixTable.Table"/> and
    /// <see cref="MsixTable.Pba"/> where it says here.
    /// </summary>
    /// <param name="tableOffset">A multiple of 8 inside the BAR.</param>
    /// <param name="pbaOffset">A multiple of 8 inside the BAR.</param>
    protected int AddMsix(MsixTable table, int tableBar, uint tableOffset, int pbaBar, uint pbaOffset)
    {
        ArgumentNullException.ThrowIfNull(table);
        if (_msix is not null || (tableOffset & 7) != 0 || (pbaOffset & 7) != 0)
        {
            throw new ArgumentException($"{Name}: one MSI-X capability, with offsets that are multiples of 8");
        }

        Span<byte> body = stackalloc byte[10];
        BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)(table.Count - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(body[2..], tableOffset | (uint)tableBar);
        BinaryPrimitives.WriteUInt32LittleEndian(body[6..], pbaOffset | (uint)pbaBar);
        _msixCapability = AddCapability(PciConfigSpace.CapabilityMsix, body);
        SetWriteMask(_msixCapability + 3, [(PciConfigSpace.MsixEnable | PciConfigSpace.MsixFunctionMask) >> 8]);
        _msix = table;
        return _msixCapability;
    }

    /// <summary>Gives the function INTA# (§6.2.4), from the constructor of a subclass.</summary>
    /// <param name="line">The interrupt controller's input that the pin is wired to.</param>
    /// <param name="lineNumber">What firmware writes to the interrupt line register: the input's number.</param>
    protected void AddInterruptPin(IInterruptLine line, byte lineNumber)
    {
        ArgumentNullException.ThrowIfNull(line);
        _pin = line;
        _config[PciConfigSpace.InterruptPin] = 1;
        _config[PciConfigSpace.InterruptLine] = lineNumber;
    }

    /// <summary>Raises or lowers INTA#. The interrupt disable bit keeps it from the line, not from the status. Any thread.</summary>
    protected void SetInterruptPin(bool asserted)
    {
        if (_pin is null)
        {
            return;
        }

        lock (_pinLock)
        {
            _isPinAsserted = asserted;
            DriveLine();
        }
    }

    private void UpdatePin()
    {
        if (_pin is null)
        {
            return;
        }

        lock (_pinLock)
        {
            DriveLine();
        }
    }

    private void DriveLine()
    {
        bool isDisabled = (Volatile.Read(ref _config[PciConfigSpace.Command + 1]) & (PciConfigSpace.CommandInterruptDisable >> 8)) != 0;
        _pin?.SetLevel(_isPinAsserted && !isDisabled);
    }

    private void ApplyMsixControl()
    {
        if (_msix is not null)
        {
            ushort control = GetWord(_msixCapability + 2);
            _msix.SetControl((control & PciConfigSpace.MsixEnable) != 0, (control & PciConfigSpace.MsixFunctionMask) != 0);
        }
    }
}

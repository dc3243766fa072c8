using System.Buffers.Binary;
using Cnvm.Devices;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Devices.Pci;
using Cnvm.Hypervisor.Memory;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.Transport.PciTransportSpec;

namespace Cnvm.Virtio.Transport;

/// <summary>
/// A virtio device as a modern PCI function (virtio 1.2 §4.1): one BAR with every structure, MSI-X with one vector for each
/// queue and one for the configuration. Owns the device. Any thread.
/// </summary>
public sealed partial class VirtioPciFunction : PciFunction, ITransportSignals, IDisposable
{
    private readonly TransportCore _core;
    private readonly MsixTable _msixTable;
    private readonly IDoorbellRegistrar? _doorbells;
    private readonly IDisposable?[] _bound;
    private readonly ushort[] _queueVectors;
    private readonly bool _hasPin;
    private int _pciConfigCapability;
    private ushort _configVector = Spec.NoVector;
    private int _isr;

    /// <param name="device">The device; disposed with this object.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="interrupts">Makes the MSI-X vectors.</param>
    /// <param name="doorbells">Binds notifications to eventfds; null: every one goes through the register handler.</param>
    public VirtioPciFunction(
        VirtioDevice device,
        GuestMemory memory,
        IMsiController interrupts,
        IDoorbellRegistrar? doorbells,
        PciTransportOptions options,
        ILogger logger)
        : base(NameOf(device), IdentityOf(device), logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        _core = new TransportCore(device, memory, this, logger);
        _doorbells = doorbells;
        _bound = new IDisposable?[_core.QueueCount];
        _queueVectors = new ushort[_core.QueueCount];
        Array.Fill(_queueVectors, Spec.NoVector);
        _msixTable = new MsixTable(_core.QueueCount + 1, interrupts);
        AddBar(Spec.Bar, Spec.BarSize, options.BarKind, new Region(this));
        AddCapabilities();
        AddMsix(_msixTable, Spec.Bar, Spec.MsixTableOffset, Spec.Bar, Spec.MsixPbaOffset);
        if (options.InterruptLine is { } line)
        {
            _hasPin = true;
            AddInterruptPin(line, options.InterruptLineNumber);
        }
    }

    /// <summary>The device behind the transport.</summary>
    public VirtioDevice Device => _core.Device;

    /// <summary>Stops every queue; requests in flight are finished first. No vCPU runs.</summary>
    public void Pause() => _core.Pause();

    /// <summary>Lets the queues go on after <see cref="Pause"/> or <see cref="Restore"/>.</summary>
    public void Resume() => _core.Resume();

    /// <inheritdoc cref="TransportCore.AwaitRings"/>
    public void AwaitRings() => _core.AwaitRings();

    public override void Reset()
    {
        _core.Reset();
        ForgetVectors();
        base.Reset();
    }

    /// <summary>The state; nothing changes. Paused.</summary>
    public PciTransportState Save() => new()
    {
        Function = SaveFunction(),
        Transport = _core.Save(),
        ConfigVector = _configVector,
        QueueVectors = [.. _queueVectors],
        Isr = (byte)Volatile.Read(ref _isr),
    };

    /// <summary>Takes a state over and stays paused: <see cref="Resume"/> starts the queues.</summary>
    /// <exception cref="DeviceStateException">It does not fit.</exception>
    public void Restore(PciTransportState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _core.Validate(state.Transport);
        if (state.QueueVectors is null || state.QueueVectors.Length != _queueVectors.Length)
        {
            throw new DeviceStateException(Name, nameof(state.QueueVectors), $"the device has {_queueVectors.Length} queues");
        }

        RestoreFunction(state.Function);
        _core.Restore(state.Transport);
        _configVector = state.ConfigVector;
        state.QueueVectors.CopyTo(_queueVectors, 0);
        Volatile.Write(ref _isr, state.Isr);
        SetInterruptPin(state.Isr != 0 && !_msixTable.IsEnabled);
    }

    public void Dispose()
    {
        BindDoorbells(null);
        _core.Dispose();

        // Others share the wire.
        SetInterruptPin(asserted: false);
        _msixTable.Dispose();
    }

    void ITransportSignals.SignalQueue(int queue) => Signal(Volatile.Read(ref _queueVectors[queue]), Spec.IsrQueue);

    void ITransportSignals.SignalConfiguration() => Signal(Volatile.Read(ref _configVector), Spec.IsrConfig);

    protected override void OnBarMapped(int index, ulong? mapping) => BindDoorbells(mapping);

    private static string NameOf(VirtioDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return device.Id;
    }

    private static PciIdentity IdentityOf(VirtioDevice device)
    {
        ushort id = (ushort)(Spec.DeviceIdBase + (ushort)device.DeviceType);

        // Class codes as in the PCI Code and ID Assignment specification; what has none is "other" (0xff).
        uint classCode = device.DeviceType switch
        {
            VirtioDeviceType.Net => 0x020000,
            VirtioDeviceType.Block => 0x018000,
            VirtioDeviceType.Console => 0x078000,
            VirtioDeviceType.FileSystem => 0x018000,
            VirtioDeviceType.Socket => 0x028000,
            _ => 0xff0000,
        };

        // §4.1.2.1: revision 1 or higher is not a transitional device.
        return new PciIdentity(Spec.VendorId, id, classCode, Revision: 1, Spec.VendorId, id);
    }

    private void Signal(ushort vector, int isr)
    {
        if (_msixTable.IsEnabled)
        {
            // VIRTIO_MSI_NO_VECTOR is beyond any table: such an event raises nothing.
            _msixTable.Signal(vector);
            return;
        }

        Interlocked.Or(ref _isr, isr);
        if (_hasPin)
        {
            SetInterruptPin(asserted: true);
        }
    }

    private byte TakeIsr()
    {
        // §4.1.4.5: reading clears the register and lowers the pin.
        int isr = Interlocked.Exchange(ref _isr, 0);
        if (_hasPin)
        {
            SetInterruptPin(asserted: Volatile.Read(ref _isr) != 0);
        }

        return (byte)isr;
    }

    private void ForgetVectors()
    {
        Volatile.Write(ref _configVector, Spec.NoVector);
        Array.Fill(_queueVectors, Spec.NoVector);
        Interlocked.Exchange(ref _isr, 0);
        if (_hasPin)
        {
            SetInterruptPin(asserted: false);
        }
    }

    private void BindDoorbells(ulong? bar)
    {
        for (int i = 0; i < _bound.Length; i++)
        {
            _bound[i]?.Dispose();
            _bound[i] = bar is { } start
                ? _doorbells?.TryRegister(start + Spec.NotifyOffset + ((ulong)i * Spec.NotifyMultiplier), 0, null, _core.Doorbell(i))
                : null;
        }
    }

    private void AddCapabilities()
    {
        AddStructure(Spec.CapCommon, Spec.CommonOffset, Spec.CommonLength, []);
        AddStructure(Spec.CapIsr, Spec.IsrOffset, Spec.IsrLength, []);
        AddStructure(Spec.CapDevice, Spec.DeviceOffset, Spec.DeviceLength, []);
        Span<byte> multiplier = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(multiplier, Spec.NotifyMultiplier);
        AddStructure(Spec.CapNotify, Spec.NotifyOffset, Spec.NotifyLength, multiplier);

        // §4.1.4.9: the driver writes bar, offset and length, and reads or writes the data field.
        _pciConfigCapability = AddStructure(Spec.CapPciConfig, 0, 0, stackalloc byte[4]);
        SetWriteMask(_pciConfigCapability + Spec.CapBar, [0xff]);
        Span<byte> ones = stackalloc byte[12];
        ones.Fill(0xff);
        SetWriteMask(_pciConfigCapability + Spec.CapOffset, ones);
    }

    private int AddStructure(byte type, uint offset, uint length, ReadOnlySpan<byte> tail)
    {
        // struct virtio_pci_cap behind id and next: cap_len, cfg_type, bar, id, padding, offset, length (§4.1.4).
        Span<byte> body = stackalloc byte[14 + tail.Length];
        body.Clear();
        body[0] = (byte)(body.Length + 2);
        body[1] = type;
        body[2] = Spec.Bar;
        BinaryPrimitives.WriteUInt32LittleEndian(body[6..], offset);
        BinaryPrimitives.WriteUInt32LittleEndian(body[10..], length);
        tail.CopyTo(body[14..]);
        return AddCapability(PciConfigSpace.CapabilityVendorSpecific, body);
    }
}

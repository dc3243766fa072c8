using System.Buffers.Binary;
using System.Net.NetworkInformation;
using Cnvm.Devices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.VhostUser.VhostUserSpec;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// Network device (virtio 1.2 §5.1) whose frames a vhost-user back end takes and brings. Address, MTU, announcements and the control queue
/// stay here.
/// </summary>
public sealed class VhostUserNetDevice : VhostUserDevice, INetControl
{
    private const ulong Offloads = NetSpec.Checksum | NetSpec.GuestOffloads
        | NetSpec.HostTso4 | NetSpec.HostTso6 | NetSpec.HostEcn | NetSpec.HostUfo;

    private readonly ILogger _logger;
    private readonly int _pairs;
    private readonly ushort? _mtu;
    private readonly Lock _statusGate = new();
    private volatile int _activePairs = 1;
    private ControlWorker? _control;
    private SplitQueue? _controlQueue;

    /// <param name="options">Its queues are two for each pair.</param>
    /// <param name="net">Address, MTU and offloads; the rest does not matter.</param>
    /// <inheritdoc cref="VhostUserDevice(VhostUserOptions, VhostUserTraits, GuestMemory, ILogger)"/>
    public VhostUserNetDevice(VhostUserOptions options, NetOptions net, GuestMemory memory, ILogger logger)
        : base(options, TraitsOf(net ?? throw new ArgumentNullException(nameof(net))), memory, logger)
    {
        _logger = logger;
        _pairs = options.QueueCount / 2;
        _mtu = net.Mtu;
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, 2 * _pairs), NetSpec.ControlQueueSize];
        Mac = net.Mac ?? NetDevice.RandomMac();
        Mac.GetAddressBytes().CopyTo(Configuration, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(NetSpec.ConfigStatus), NetSpec.StatusLinkUp);
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(NetSpec.ConfigMaxPairs), (ushort)_pairs);
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(NetSpec.ConfigMtu), net.Mtu ?? 0);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Net;

    public override ulong Features => Offered | NetSpec.Mac | NetSpec.Status | NetSpec.CtrlQueue | NetSpec.GuestAnnounce
        | (_pairs > 1 ? NetSpec.MultiQueue : 0) | (_mtu is null ? 0 : NetSpec.Mtu);

    public override IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>The guest's MAC address.</summary>
    public PhysicalAddress Mac { get; }

    // §5.1.2: the control queue follows the pairs that can be used, and without MQ that is one pair.
    private int ControlQueue => (Accepted & NetSpec.MultiQueue) != 0 ? 2 * _pairs : 2;

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        if (index < ControlQueue)
        {
            base.StartQueue(index, resources);
        }
        else if (index == ControlQueue)
        {
            _controlQueue = resources.Queue;
            _control = new ControlWorker($"{Id}_ctrl", this, resources, _logger);
            _control.Start();
        }
    }

    public override QueueState? StopQueue(int index)
    {
        if (index < ControlQueue)
        {
            return base.StopQueue(index);
        }

        if (index != ControlQueue)
        {
            return null;
        }

        // Without the lock of the base, which the worker may be waiting for.
        _control?.Dispose();
        _control = null;
        QueueState? state = _controlQueue?.Save();
        _controlQueue = null;
        return state;
    }

    public override void Reset()
    {
        base.Reset();
        _activePairs = 1;
        SetAnnouncing(false);
    }

    public override VirtioDeviceState Save()
    {
        lock (_statusGate)
        {
            return new VhostUserState { Configuration = [.. Configuration], ActivePairs = (uint)_activePairs };
        }
    }

    public override void Restore(VirtioDeviceState state)
    {
        base.Restore(state);
        var saved = (VhostUserState)state;
        _activePairs = (int)saved.ActivePairs;
        SetAnnouncing((BinaryPrimitives.ReadUInt16LittleEndian(saved.Configuration.AsSpan(NetSpec.ConfigStatus)) & NetSpec.StatusAnnounce) != 0);
    }

    /// <summary>Has the guest tell the network where it is now, if its driver can (§5.1.6.5.4).</summary>
    public void Announce()
    {
        if ((Accepted & NetSpec.GuestAnnounce) != 0)
        {
            SetAnnouncing(true);
            Interrupts?.SignalConfiguration();
        }
    }

    /// <summary>Has the back end show the network where the guest is, if it can; the guest need not do anything for it.</summary>
    /// <returns>False if it cannot.</returns>
    public bool ShowLocation()
    {
        bool isShown = false;
        Span<byte> mac = stackalloc byte[sizeof(ulong)];
        mac.Clear();
        Mac.GetAddressBytes().CopyTo(mac);
        ulong number = BinaryPrimitives.ReadUInt64LittleEndian(mac);
        Attempt("show where the guest is", backend =>
        {
            if (backend.Has(Spec.Rarp))
            {
                backend.SendRarp(number);
                isShown = true;
            }
        });
        return isShown;
    }

    void INetControl.AcknowledgeAnnouncement() => SetAnnouncing(false);

    bool INetControl.TrySetActivePairs(int pairs)
    {
        if ((Accepted & NetSpec.MultiQueue) == 0 || pairs < 1 || pairs > _pairs)
        {
            return false;
        }

        int before = _activePairs;
        _activePairs = pairs;
        Attempt("change the active queues", backend =>
        {
            for (int i = 2 * Math.Min(before, pairs); i < 2 * Math.Max(before, pairs); i++)
            {
                if (IsRunning(i))
                {
                    backend.EnableRing(i, IsRingEnabled(i));
                }
            }
        });
        return true;
    }

    // The back end takes what was negotiated; CTRL_GUEST_OFFLOADS is not on offer.
    bool INetControl.TrySetGuestOffloads(ulong offloads) => false;

    private protected override bool IsRingEnabled(int index) => index / 2 < _activePairs;

    private protected override void OnSetUp(VhostUserBackend backend)
    {
        if (_mtu is { } mtu && backend.Has(Spec.NetMtu))
        {
            backend.SetMtu(mtu);
        }
    }

    private protected override void CheckConfiguration(VhostUserState saved)
    {
        if (saved.ActivePairs < 1 || saved.ActivePairs > (uint)_pairs)
        {
            throw new DeviceStateException(Id, nameof(saved.ActivePairs), $"the driver uses {saved.ActivePairs} queue pairs of {_pairs}");
        }
    }

    protected override void Dispose(bool disposing)
    {
        _control?.Dispose();
        base.Dispose(disposing);
    }

    private static VhostUserTraits TraitsOf(NetOptions net)
    {
        ulong offloads = !net.OffloadChecksum ? 0 : Offloads
            & ~(net.OffloadTso ? 0 : NetSpec.HostTso4 | NetSpec.HostTso6 | NetSpec.HostEcn | NetSpec.GuestTso4 | NetSpec.GuestTso6 | NetSpec.GuestEcn)
            & ~(net.OffloadUfo ? 0 : NetSpec.HostUfo | NetSpec.GuestUfo);
        return new VhostUserTraits
        {
            Features = VirtioFeatures.Version1 | VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors | NetSpec.MergeableBuffers | offloads,
            ProtocolFeatures = Spec.Rarp | Spec.NetMtu,
            ConfigurationBytes = NetSpec.ConfigBytes,
            IsOrdered = true,
            PlainQueues = 2,
            QueuesPerUnit = 2,
        };
    }

    private void SetAnnouncing(bool isAnnouncing)
    {
        lock (_statusGate)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(
                Configuration.AsSpan(NetSpec.ConfigStatus), (ushort)(NetSpec.StatusLinkUp | (isAnnouncing ? NetSpec.StatusAnnounce : 0)));
        }
    }
}

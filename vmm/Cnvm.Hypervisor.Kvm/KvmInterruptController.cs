using System.Collections;
using System.Globalization;
using Cnvm.Arch;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>
/// Message delivery and the GSI routing table of a split irqchip: I/O APIC pins are GSIs 0 to pins - 1, eventfd routes follow.
/// </summary>
/// <remarks>
/// Every change of the table costs an RCU grace period in the kernel, so only what needs an entry gets one: level-triggered
/// pins (for their EOI) and routes whose eventfd somebody asked for. Everything else is delivered by KVM_SIGNAL_MSI.
/// </remarks>
internal sealed unsafe class KvmInterruptController : IInterruptController, IDisposable
{
    // KVM_MAX_IRQ_ROUTES in the kernel.
    private const int MaxRoutes = 4096;

    // Trigger mode in the message's data: level (SDM vol. 3 §11.11.2).
    private const uint LevelTriggered = 1 << 15;

    private readonly int _vm;
    private readonly int _pins;
    private readonly Lock _lock = new();
    private readonly BitArray _gsiUsed = new(MaxRoutes);
    private readonly SortedDictionary<int, MsiMessage> _routes = [];
    private bool _disposed;

    public KvmInterruptController(int vm, int pins)
    {
        _vm = vm;
        _pins = pins;
    }

    public void SignalMsi(MsiMessage message)
    {
        var msi = new kvm_msi
        {
            address_lo = (uint)message.Address,
            address_hi = (uint)(message.Address >> 32),
            data = message.Data,
        };

        // A message that no local APIC takes is lost, as on a real machine: the result is of no interest.
        _ = Libc.ioctl(_vm, KvmRequest.KVM_SIGNAL_MSI, &msi);
    }

    public IMsiRoute CreateMsiRoute() => new KvmMsiRoute(this);

    public void SetIoApicRoute(int pin, MsiMessage? message)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pin);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(pin, _pins);
        SetRoute(pin, message is { } m && (m.Data & LevelTriggered) != 0 ? m : null);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
        }
    }

    /// <summary>Takes a free GSI and lets <paramref name="trigger"/> raise it.</summary>
    internal int AttachIrqfd(EventFd trigger)
    {
        lock (_lock)
        {
            int gsi = _pins;
            while (gsi < MaxRoutes && _gsiUsed[gsi])
            {
                gsi++;
            }

            if (gsi == MaxRoutes)
            {
                throw new HypervisorException($"all {MaxRoutes} interrupt routes of this virtual machine are in use");
            }

            var irqfd = new kvm_irqfd { fd = (uint)trigger.Fd, gsi = (uint)gsi };
            KvmIoctl.Call(_vm, KvmRequest.KVM_IRQFD, ref irqfd);
            _gsiUsed[gsi] = true;
            return gsi;
        }
    }

    internal void DetachIrqfd(EventFd trigger, int gsi)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            var irqfd = new kvm_irqfd { fd = (uint)trigger.Fd, gsi = (uint)gsi, flags = KvmConstants.KVM_IRQFD_FLAG_DEASSIGN };
            KvmIoctl.Call(_vm, KvmRequest.KVM_IRQFD, ref irqfd);
            _gsiUsed[gsi] = false;
        }

        SetRoute(gsi, null);
    }

    /// <summary>Enters, changes or removes (null) the message of a GSI and hands the table to the kernel if that changed it.</summary>
    internal void SetRoute(int gsi, MsiMessage? message)
    {
        lock (_lock)
        {
            bool known = _routes.TryGetValue(gsi, out MsiMessage old);
            if (_disposed || (message is { } same ? known && same == old : !known))
            {
                return;
            }

            if (message is { } m)
            {
                _routes[gsi] = m;
            }
            else
            {
                _routes.Remove(gsi);
            }

            try
            {
                WriteTable();
            }
            catch (HypervisorException)
            {
                // The kernel kept the old table; so does this one.
                if (known)
                {
                    _routes[gsi] = old;
                }
                else
                {
                    _routes.Remove(gsi);
                }

                throw;
            }
        }
    }

    private void WriteTable()
    {
        var buffer = new byte[sizeof(kvm_irq_routing) + (_routes.Count * sizeof(kvm_irq_routing_entry))];
        // SAFETY: the buffer holds the header and as many entries as the header says.
        fixed (byte* p = buffer)
        {
            ((kvm_irq_routing*)p)->nr = (uint)_routes.Count;
            var entry = (kvm_irq_routing_entry*)(p + sizeof(kvm_irq_routing));
            foreach ((int gsi, MsiMessage message) in _routes)
            {
                *entry++ = new kvm_irq_routing_entry
                {
                    gsi = (uint)gsi,
                    type = KvmConstants.KVM_IRQ_ROUTING_MSI,
                    address_lo = (uint)message.Address,
                    address_hi = (uint)(message.Address >> 32),
                    data = message.Data,
                };
            }

            KvmIoctl.Call(
                _vm,
                KvmRequest.KVM_SET_GSI_ROUTING,
                (nint)p,
                string.Create(CultureInfo.InvariantCulture, $"KVM_SET_GSI_ROUTING with {_routes.Count} routes"));
        }
    }
}

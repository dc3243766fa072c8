using Cnvm.Hypervisor;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Net;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;
using Cnvm.Vmm.Vcpus;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm;

/// <content>What a machine that moves away, or arrives, needs beyond snapshots.</content>
internal sealed partial class VirtualMachine
{
    private DirtyTracking? _tracking;
    private VcpuThrottle? _throttle;

    /// <summary>What the guest and the devices write.</summary>
    public DirtyTracking Tracking => _tracking ??= new DirtyTracking(_memory, _partition.DirtyLog);

    /// <summary>Machine profile, as a saved state names it.</summary>
    public string ProfileName => _profileName;

    /// <summary>The guest has asked for a reset or an end, or has failed, and it has not been carried out yet. Final once paused.</summary>
    public bool HasEnded => Volatile.Read(ref _ending) != 0;

    /// <summary>What the guest was shown of its processors.</summary>
    public GuestPromise Promise(IHypervisor hypervisor) =>
        new((uint)_vcpus.Count, _bootCpuid!, _cpuProfile, _tscKhz != 0 ? _tscKhz : hypervisor.GuestTscKhz);

    /// <summary>Holds the vCPUs back for a share of their time. One thread.</summary>
    /// <param name="percent">0 to 99; 0: no longer.</param>
    public void Throttle(int percent)
    {
        if (percent == 0)
        {
            _throttle?.Dispose();
            _throttle = null;
        }
        else if (_throttle is null)
        {
            _throttle = new VcpuThrottle(_vcpus, percent);
        }
        else
        {
            _throttle.Percent = percent;
        }
    }

    /// <summary>How long ago <see cref="Pause"/> stopped the clocks, in nanoseconds.</summary>
    public ulong PausedFor() => HostNanoseconds() - _pausedAt;

    /// <summary>Brings written data of all disks to stable storage.</summary>
    /// <exception cref="BlockImageException">The host cannot.</exception>
    public void FlushDisks()
    {
        foreach (BlockDevice disk in _virtio.Devices.OfType<BlockDevice>())
        {
            disk.FlushImage();
        }
    }

    /// <summary>Lets others open the disks. Paused, until <see cref="LockDisks"/> succeeds.</summary>
    public void UnlockDisks()
    {
        foreach (BlockDevice disk in _virtio.Devices.OfType<BlockDevice>())
        {
            disk.UnlockImage();
        }
    }

    /// <summary>Takes the disks again.</summary>
    /// <exception cref="BlockImageException">Somebody else has one of them.</exception>
    public void LockDisks()
    {
        foreach (BlockDevice disk in _virtio.Devices.OfType<BlockDevice>())
        {
            disk.LockImage();
        }
    }

    /// <summary>Shows the switches of the network at which port the guest is now. Before <see cref="Resume"/>.</summary>
    public void ShowLocation()
    {
        foreach (NetDevice net in _virtio.Devices.OfType<NetDevice>())
        {
            if (!net.ShowLocation())
            {
                LogNotShown(_logger, net.Id);
            }
        }
    }

    /// <summary>Has the guest tell the network where it is now.</summary>
    public void Announce()
    {
        foreach (NetDevice net in _virtio.Devices.OfType<NetDevice>())
        {
            net.Announce();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the interface did not take the frame that shows the network where the guest is")]
    private static partial void LogNotShown(ILogger logger, string device);
}

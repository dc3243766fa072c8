using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.VhostUser;
using Cnvm.Vmm.Config;
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
    private bool _areDisksUnlocked;

    /// <summary>What the guest and the devices write.</summary>
    public DirtyTracking Tracking => _tracking ??= new DirtyTracking(_memory, _partition.DirtyLog);

    /// <summary>Whatever touches the memory waits for these pages; null: for none. Before <see cref="Resume"/> and the machine's completion; null, any thread.</summary>
    public void Await(MissingPages? missing)
    {
        _partition.Await(missing);
        _memory.Await(missing);
    }

    /// <summary>
    /// Waits until <see cref="Resume"/> needs no page that is missing: whoever resumes a machine has others waiting. Restored, not resumed; any thread.
    /// </summary>
    /// <exception cref="IOException">They will not come.</exception>
    public void AwaitRings() => _virtio.AwaitRings();

    /// <summary>Machine profile, as a saved state names it.</summary>
    public string ProfileName => _profileName;

    /// <summary>The guest has asked for a reset or an end, or has failed, and it has not been carried out yet. Final once paused.</summary>
    public bool HasEnded => Volatile.Read(ref _ending) != 0;

    /// <summary>What the guest was shown of its processors.</summary>
    public GuestPromise Promise(IHypervisor hypervisor) =>
        new((uint)(PlugsVcpus ? _topology.Count : _vcpus.Count), _bootCpuid!, _cpuProfile, _tscKhz != 0 ? _tscKhz : hypervisor.GuestTscKhz);

    /// <summary>Registers that hold something now. The vCPUs of a machine that runs stand still while they are read; its clocks and devices do not.</summary>
    /// <exception cref="HypervisorException">The hypervisor does not tell.</exception>
    public IReadOnlyList<HeldMsr> HeldMsrs()
    {
        var vcpus = new VcpuSlotState[_vcpus.Count];
        WhileParked(() =>
        {
            for (int i = 0; i < vcpus.Length; i++)
            {
                int index = _vcpus[i].Index;
                vcpus[i] = new VcpuSlotState((uint)index, _topology.ApicIdOf(index), _vcpus[i].Save());
            }
        });
        return HeldMsr.Of(vcpus);
    }

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

    /// <summary>Its disks, in the order of the configuration.</summary>
    public IEnumerable<BlockDevice> Disks => _virtio.Devices.OfType<BlockDevice>();

    /// <summary>Brings written data of all disks to stable storage.</summary>
    /// <exception cref="BlockImageException">The host cannot.</exception>
    public void FlushDisks()
    {
        foreach (BlockDevice disk in Disks)
        {
            disk.FlushImage();
        }
    }

    /// <summary>Lets others open the disks. Paused, until <see cref="LockDisks"/> succeeds.</summary>
    public void UnlockDisks()
    {
        _areDisksUnlocked = true;
        foreach (BlockDevice disk in Disks)
        {
            disk.UnlockImage();
        }
    }

    /// <summary>Takes the disks again; nothing happens if they are not unlocked, since taking an image means to read it anew.</summary>
    /// <exception cref="BlockImageException">Somebody else has one of them.</exception>
    public void LockDisks()
    {
        if (!_areDisksUnlocked)
        {
            return;
        }

        foreach (BlockDevice disk in Disks)
        {
            disk.LockImage();
        }

        _areDisksUnlocked = false;
    }

    /// <summary>Lets others have the guest's locks on files of shared folders. Paused, until <see cref="TakeFileLocks"/> succeeds.</summary>
    public void LetFileLocksGo()
    {
        foreach (FsDevice folder in _virtio.Devices.OfType<FsDevice>())
        {
            folder.LetLocksGo();
        }
    }

    /// <summary>Takes the guest's locks on files again; nothing happens to those that it has.</summary>
    /// <exception cref="IOException">Somebody else has one of them.</exception>
    public void TakeFileLocks()
    {
        foreach (FsDevice folder in _virtio.Devices.OfType<FsDevice>())
        {
            folder.TakeLocks();
        }
    }

    /// <summary>Queues of the network interfaces, in the order of the configuration.</summary>
    public IReadOnlyList<int> TapQueues(VmConfig config) =>
        [.. (config.Net ?? []).SelectMany(n => _virtio.Devices.OfType<NetDevice>().Single(d => d.Id == n.Id).HostDescriptors)];

    /// <summary>After another process had the interfaces. Paused.</summary>
    public void TakeNetworksAgain()
    {
        foreach (NetDevice net in _virtio.Devices.OfType<NetDevice>())
        {
            net.TakeBackEndAgain();
        }
    }

    /// <summary>The guest is told that its processors' counters are those of another host. Paused; nothing happens without the device.</summary>
    public void MarkDisruption() => _chipset.ClockPage?.Disrupt(isAnotherGeneration: false);

    /// <summary>Shows the switches of the network at which port the guest is now. Before <see cref="Resume"/>.</summary>
    public void ShowLocation()
    {
        foreach (VirtioDevice device in _virtio.Devices)
        {
            if (device is NetDevice net ? !net.ShowLocation() : device is VhostUserNetDevice served && !served.ShowLocation())
            {
                LogNotShown(_logger, device.Id);
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

        foreach (VhostUserNetDevice net in _virtio.Devices.OfType<VhostUserNetDevice>())
        {
            net.Announce();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the interface did not take the frame that shows the network where the guest is")]
    private static partial void LogNotShown(ILogger logger, string device);
}

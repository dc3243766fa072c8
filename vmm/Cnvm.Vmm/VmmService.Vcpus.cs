using Cnvm.Hypervisor;

namespace Cnvm.Vmm;

// vCPUs that come and go.
public sealed partial class VmmService
{
    // A VM whose vCPUs could once come and go can do so after a reboot too, though it may have all of them then.
    private bool _plugsVcpus;

    private bool PlugsVcpus => _plugsVcpus || _config!.Cpus.MaxVcpus > _config.Cpus.BootVcpus;

    /// <summary>Gives a booted machine another number of vCPUs, or asks its guest to give some up.</summary>
    private static void ResizeVcpus(VirtualMachine machine, uint desired)
    {
        if (machine.IsVcpuRemovalPending)
        {
            machine.RepeatVcpuRemoval();
            throw new VmmException(
                VmmErrorKind.Busy,
                "desired_vcpus: the guest has not yet given up all vCPUs that it was asked for; it has been asked once more, try again when it has");
        }

        if (desired == machine.VcpuCount)
        {
            return;
        }

        if (!machine.PlugsVcpus)
        {
            throw new VmmException(
                VmmErrorKind.Invalid,
                $"desired_vcpus: this VM has {machine.VcpuCount} vCPUs as long as it runs: it was created with max_vcpus equal to boot_vcpus, or has no ACPI");
        }

        try
        {
            machine.ResizeVcpus((int)desired);
        }
        catch (HypervisorException e)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM could not be given {desired} vCPUs; it has {machine.VcpuCount}", e);
        }
    }

    /// <summary>vCPUs that the guest has given up are gone, whether anybody asked for it or the guest did so by itself.</summary>
    private void RemoveEjectedVcpus()
    {
        if (_machine is not { } machine || machine.RemoveEjectedVcpus() is not { Count: > 0 } gone)
        {
            return;
        }

        if (!machine.IsVcpuRemovalPending)
        {
            _config = _config! with { Cpus = _config.Cpus with { BootVcpus = (uint)machine.VcpuCount } };
        }

        foreach (int vcpu in gone)
        {
            Record(new VmmEvent("vm", "vcpu-removed", new Dictionary<string, string> { ["id"] = $"vcpu{vcpu}" }));
        }
    }
}

namespace Cnvm.Vmm.Config;

// Parts of the contract that exist there and not here yet.
public sealed partial class VmConfigValidator
{
    private void CheckSupported()
    {
        VmConfig c = _config;
        Refuse(c.GenericVhostUser is { Count: > 0 }, "generic_vhost_user", "vhost-user is");
        Refuse(c.Pmem is { Count: > 0 }, "pmem", "virtio-pmem is");
        Refuse(c.Devices is { Count: > 0 }, "devices", "VFIO is");
        Refuse(c.UserDevices is { Count: > 0 }, "user_devices", "vfio-user is");
        Refuse(c.Vdpa is { Count: > 0 }, "vdpa", "vDPA is");
        Refuse(c.Iommu, "iommu", "the virtual IOMMU is");
        Refuse(c.Numa is { Count: > 0 }, "numa", "guest NUMA is");
        Refuse(c.Rtc is not null, "rtc", "virtio-rtc is");
        Refuse(c.Gdb is true, "gdb", "the gdb stub is");
        Refuse(c.Pvmemcontrol is not null, "pvmemcontrol", "pvmemcontrol is");
        Refuse(c.Tpm is not null, "tpm", "the TPM is");
        Refuse(c.LandlockEnable, "landlock_enable", "Landlock is");
        Refuse(c.LandlockRules is { Count: > 0 }, "landlock_rules", "Landlock is");
        Refuse(c.Ivshmem is not null, "ivshmem", "ivshmem is");

        Refuse(c.Cpus.KvmHyperv, "cpus.kvm_hyperv", "Hyper-V enlightenments are");
        Refuse(c.Cpus.Features.Amx, "cpus.features.amx", "AMX is");
        Refuse(c.Cpus.CoreScheduling == CoreScheduling.Vcpu, "cpus.core_scheduling", "core scheduling by vCPU is");

        Refuse(
            c.Memory is { HotplugMethod: HotplugMethod.VirtioMem, HotplugSize: > 0 } or { HotplugMethod: HotplugMethod.VirtioMem, HotpluggedSize: > 0 },
            "memory.hotplug_method",
            "virtio-mem is");

        if (c.Payload is { } payload)
        {
            Refuse(payload.Firmware is not null, "payload.firmware", "firmware is");
            Refuse(payload.Igvm is not null, "payload.igvm", "IGVM is");
            Refuse(payload.HostData is not null, "payload.host_data", "host data is");
            Refuse(payload.FwCfgConfig is not null, "payload.fw_cfg_config", "fw_cfg is");
        }

        if (c.Platform is { } platform)
        {
            Refuse(platform.IommuSegments is { Count: > 0 }, "platform.iommu_segments", "the virtual IOMMU is");
            Refuse(
                platform.IommuAddressWidthBits != PlatformConfig.DefaultIommuAddressWidthBits,
                "platform.iommu_address_width_bits",
                "the virtual IOMMU is");
            Refuse(platform.Tdx, "platform.tdx", "TDX is");
            Refuse(platform.SevSnp, "platform.sev_snp", "SEV-SNP is");
            Refuse(platform.Iommufd, "platform.iommufd", "VFIO is");
        }
    }

    /// <summary>Reports <paramref name="field"/> when it is given; <paramref name="subjectAndVerb"/> opens the sentence.</summary>
    private void Refuse(bool given, string field, string subjectAndVerb)
    {
        if (given)
        {
            Add(field, $"{subjectAndVerb} not supported yet by cnvm");
        }
    }
}

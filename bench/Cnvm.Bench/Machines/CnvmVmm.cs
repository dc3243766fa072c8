namespace Cnvm.Bench.Machines;

/// <summary>cnvm, as published.</summary>
/// <param name="profile">Machine profile: cloud (virtio-pci) or microvm (virtio-mmio).</param>
/// <param name="hypervisor">kvm, or soft for the software vCPU.</param>
internal sealed class CnvmVmm(string profile = "cloud", string hypervisor = "kvm") : Vmm(hypervisor == "soft" ? "cnvm-soft" : profile == "cloud" ? "cnvm" : "cnvm-" + profile)
{
    /// <summary>The software vCPU in the profile that QEMU's small machine has too.</summary>
    public static CnvmVmm Soft { get; } = new("microvm", "soft");

    /// <summary>The software vCPU in the profile that users have.</summary>
    public static CnvmVmm SoftCloud { get; } = new("cloud", "soft");

    public override string MemoryName => "/memfd:cnvm-ram";

    public override string DiskAddress => profile == "cloud" ? "pci" : "mmio:0xfeb00000";

    public override string Program(Workspace workspace) => workspace.CnvmProgram;

    public override IReadOnlyList<string> Arguments(GuestPlan plan)
    {
        List<string> arguments = ["--hypervisor", hypervisor];
        if (plan.ControlSocket is { } socket)
        {
            arguments.AddRange(["--api-socket", "path=" + socket]);
        }

        if (plan.Kernel is not { } kernel || plan.Arrives)
        {
            return arguments;
        }

        arguments.AddRange(["--kernel", kernel, "--cmdline", plan.CommandLine]);
        if (plan.Verbose)
        {
            arguments.Add("-v");
        }

        if (profile != "cloud")
        {
            arguments.AddRange(["--machine", profile]);
        }

        arguments.AddRange(["--cpus", $"boot={plan.Cpus}", "--memory", $"size={plan.Memory}M" + (plan.NamedMemory ? ",shared=on" : "")]);
        arguments.AddRange(["--console", "off"]);
        arguments.AddRange(plan.SerialOutput ? ["--serial", "tty"] : ["--serial", "null", "--debug-console", "tty"]);
        if (plan.Initramfs is { } initramfs)
        {
            arguments.AddRange(["--initramfs", initramfs]);
        }

        if (plan.Disk is { } disk)
        {
            arguments.AddRange(["--disk", $"path={disk},image_type=raw"]);
        }

        if (plan.Qcow2 is { } qcow2)
        {
            arguments.AddRange(["--disk", $"path={qcow2},image_type=qcow2"]);
        }

        if (plan.Tap is { } tap)
        {
            arguments.AddRange(["--net", "tap=" + tap]);
        }

        if (plan.Share is { } share)
        {
            arguments.AddRange(["--fs", $"tag={share.Tag},path={share.Folder}"]);
        }

        if (plan.VsockSocket is { } vsock)
        {
            arguments.AddRange(["--vsock", $"cid={GuestPlan.ContextId},socket={vsock}"]);
        }

        return arguments;
    }
}

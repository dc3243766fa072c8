namespace Cnvm.Bench.Machines;

/// <summary>QEMU with nothing that was not asked for.</summary>
/// <param name="name">The name in the table.</param>
/// <param name="machine">Machine type with its options.</param>
/// <param name="hasPci">virtio devices are on PCI; otherwise on virtio-mmio.</param>
/// <param name="accelerator">kvm, or tcg for QEMU's own translator.</param>
internal sealed class QemuVmm(string name, string machine, bool hasPci, string accelerator = "kvm") : Vmm(name)
{
    /// <summary>QEMU's own small machine, without the devices that its documentation advises to leave out.</summary>
    public static QemuVmm Microvm { get; } = new("qemu-microvm", "microvm,pit=off,pic=off,rtc=on", hasPci: false);

    /// <summary>QEMU's PCI Express machine; like cnvm with the local APIC in the kernel and the I/O APIC outside.</summary>
    public static QemuVmm Q35 { get; } = new("qemu-q35", "q35,kernel-irqchip=split", hasPci: true);

    /// <summary>QEMU's small machine on its translator.</summary>
    public static QemuVmm Tcg { get; } = new("qemu-tcg", "microvm,pit=off,pic=off,rtc=on", hasPci: false, "tcg");

    /// <summary>QEMU's PCI Express machine on its translator.</summary>
    public static QemuVmm TcgQ35 { get; } = new("qemu-tcg", "q35", hasPci: true, "tcg");

    public override string MemoryName => "/memfd:memory-backend-memfd";

    // The first transport of microvm (hw/i386/microvm: VIRTIO_MMIO_BASE).
    public override string DiskAddress => hasPci ? "pci" : "mmio:0xfeb00000";

    // The small machine has nothing to measure the TSC against, and TCG has no KVM clock to ask: without a word the kernel waits for ever. On the
    // other one it measures, and then takes a slower clock unless it is told that this one is good.
    public override string KernelParameters => accelerator != "tcg" ? "" : hasPci ? "tsc=reliable" : "tsc_early_khz=2000000 lpj=4000000";

    public override string Program(Workspace workspace) => Workspace.QemuProgram;

    public override IReadOnlyList<string> Arguments(GuestPlan plan)
    {
        // QEMU sets the architecture capabilities register unasked and gives up on a KVM that refuses it.
        string processor = accelerator == "kvm" ? "host,arch-capabilities=off" : "max";
        List<string> arguments = ["-nodefaults", "-no-user-config", "-display", "none", "-cpu", processor, "-smp", $"{plan.Cpus}", "-m", $"{plan.Memory}"];
        if (plan.NamedMemory)
        {
            arguments.AddRange(["-object", $"memory-backend-memfd,id=ram,share=on,size={plan.Memory}M"]);
        }

        arguments.AddRange(["-M", machine + ",accel=" + accelerator + (plan.NamedMemory ? ",memory-backend=ram" : "")]);
        if (plan.ControlSocket is { } socket)
        {
            arguments.AddRange(["-qmp", $"unix:{socket},server=on,wait=off"]);
        }

        if (plan.Kernel is not { } kernel)
        {
            return [.. arguments, "-net", "none", "-S"];
        }

        arguments.AddRange(["-kernel", kernel, "-append", plan.CommandLine, "-chardev", "stdio,id=out,signal=off"]);
        arguments.AddRange(plan.SerialOutput ? ["-serial", "chardev:out"] : ["-device", "isa-debugcon,iobase=0xe9,chardev=out"]);
        if (plan.Initramfs is { } initramfs)
        {
            arguments.AddRange(["-initrd", initramfs]);
        }

        if (plan.Arrives)
        {
            arguments.AddRange(["-incoming", "defer"]);
        }

        AddDisks(arguments, plan);
        if (plan.Tap is { } tap)
        {
            arguments.AddRange(["-netdev", $"tap,id=net,ifname={tap},script=no,downscript=no"]);
            arguments.AddRange(["-device", hasPci ? "virtio-net-pci,netdev=net,romfile=" : "virtio-net-device,netdev=net"]);
        }
        else
        {
            arguments.AddRange(["-net", "none"]);
        }

        if (plan.Share is { } share)
        {
            string queue = $"vhost-user-fs-pci,chardev=fs,tag={share.Tag}";
            arguments.AddRange(["-chardev", "socket,id=fs,path=" + share.Socket, "-device", queue]);
        }

        if (plan.VsockSocket is not null)
        {
            arguments.AddRange(["-device", $"vhost-vsock-pci,guest-cid={GuestPlan.ContextId}"]);
        }

        return arguments;
    }

    private void AddDisks(List<string> arguments, GuestPlan plan)
    {
        (string Path, string Format)[] disks = [(plan.Disk ?? "", "raw"), (plan.Qcow2 ?? "", "qcow2")];
        string place = hasPci ? "virtio-blk-pci" : "virtio-blk-device,bus=virtio-mmio-bus.0";
        foreach ((string path, string format) in disks.Where(d => d.Path.Length > 0))
        {
            arguments.AddRange(["-object", "iothread,id=io-" + format]);
            arguments.AddRange(["-drive", $"file={path},if=none,id={format},format={format},aio=io_uring,cache=writeback"]);
            arguments.AddRange(["-device", $"{place},drive={format},iothread=io-{format}", "-global", "virtio-mmio.force-legacy=false"]);
        }
    }
}

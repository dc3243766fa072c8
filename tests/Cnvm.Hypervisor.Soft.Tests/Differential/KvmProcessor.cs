using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>The real processor: the guest's user code on a KVM vCPU of its own.</summary>
internal sealed unsafe class KvmProcessor : IDisposable
{
    // Error code of #PF: the page was present; a reserved bit was set (Intel SDM vol. 3, figure 4-12).
    private const uint PresentFault = 1 << 0;
    private const uint ReservedBitFault = 1 << 3;

    private const int ExitIo = 2;
    private const int XsaveSize = 4096;

    private readonly FileDescriptor _kvm;
    private readonly FileDescriptor _vm;
    private readonly FileDescriptor _vcpu;
    private readonly MappedMemory _runPage;
    private readonly kvm_run* _run;
    private readonly byte* _xsave;
    private kvm_sregs _user;
    private bool _inUserMode;

    public KvmProcessor()
    {
        _kvm = new FileDescriptor(Check(Libc.open("/dev/kvm", Libc.O_RDWR | Libc.O_CLOEXEC, 0), "open /dev/kvm"));
        _vm = new FileDescriptor(Check(Libc.ioctl(_kvm.Value, KvmRequest.KVM_CREATE_VM, 0), "KVM_CREATE_VM"));
        Ram = GuestLayout.Allocate();
        kvm_userspace_memory_region region = new() { memory_size = GuestLayout.RamSize, userspace_addr = (ulong)Ram };
        Check(Libc.ioctl(_vm.Value, KvmRequest.KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
        _vcpu = new FileDescriptor(Check(Libc.ioctl(_vm.Value, KvmRequest.KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU"));
        int size = Check(Libc.ioctl(_kvm.Value, KvmRequest.KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
        _runPage = MappedMemory.Map((nuint)size, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _vcpu.Value, 0, "vCPU page");
        _run = (kvm_run*)_runPage.Address;
        // KVM_GET_XSAVE carries a page.
        _xsave = (byte*)NativeMemory.AlignedAlloc(XsaveSize, 64);
        NativeMemory.Clear(_xsave, XsaveSize);
        SetCpuid();
        kvm_xcrs xcrs = new() { nr_xcrs = 1 };
        xcrs.xcrs[1] = 7;
        SetSystem();
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_XCRS, &xcrs), "KVM_SET_XCRS");
    }

    public byte* Ram { get; }

    /// <summary>False when there is no /dev/kvm that this process may use.</summary>
    public static bool IsAvailable()
    {
        using FileDescriptor fd = new(Libc.open("/dev/kvm", Libc.O_RDWR | Libc.O_CLOEXEC, 0));
        return !fd.IsInvalid;
    }

    /// <summary>Runs the code from <see cref="GuestLayout.CodeAddress"/> until its end or its first exception.</summary>
    public void Run(CpuImage state)
    {
        if (!_inUserMode)
        {
            fixed (kvm_sregs* s = &_user)
            {
                Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_SREGS, s), "KVM_SET_SREGS");
            }
        }

        kvm_regs r = default;
        ulong* g = (ulong*)&r;
        for (int i = 0; i < 16; i++)
        {
            g[Place(i)] = state.General[i];
        }

        r.rip = GuestLayout.CodeAddress;
        r.rflags = state.Flags | 0x3002;
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_REGS, &r), "KVM_SET_REGS");
        state.Xsave.CopyTo(new Span<byte>(_xsave, XsaveSize));
        *(ulong*)(_xsave + 512) = 7;
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_XSAVE, _xsave), "KVM_SET_XSAVE");
        RunToExit();
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_GET_REGS, &r), "KVM_GET_REGS");
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_GET_XSAVE, _xsave), "KVM_GET_XSAVE");
        Array.Clear(state.Xsave);
        new ReadOnlySpan<byte>(_xsave, CpuImage.XsaveBytes).CopyTo(state.Xsave);
        for (int i = 0; i < 16; i++)
        {
            state.General[i] = g[Place(i)];
        }

        int port = _run->io.port;
        _inUserMode = port == GuestLayout.EndPort;
        state.Cr2 = 0;
        if (_inUserMode)
        {
            // The exit comes before or after RIP moves on, as this KVM pleases.
            state.Vector = -1;
            state.Error = 0;
            state.Rip = 0;
            state.Flags = r.rflags;
            return;
        }

        GuestLayout.TakeFrame(Ram, state, port, r.rsp);
        if (port == 14)
        {
            kvm_sregs s = default;
            Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_GET_SREGS, &s), "KVM_GET_SREGS");
            state.Cr2 = s.cr2;
            if ((state.Error & ReservedBitFault) != 0)
            {
                // The test's page tables set no reserved bit: one is in the shadow page tables with which this KVM marks addresses that
                // the guest maps nowhere (Documentation/virt/kvm/x86/mmu.rst, MMIO), and once in millions of cases it shows through.
                state.Error &= ~(ReservedBitFault | PresentFault);
            }
        }
    }

    private void RunToExit()
    {
        int result;
        do
        {
            result = Libc.ioctl(_vcpu.Value, KvmRequest.KVM_RUN, 0);
        }
        while (result < 0 && LinuxError.Last is Errno.EINTR);
        Check(result, "KVM_RUN");
        if (_run->exit_reason != ExitIo)
        {
            throw new InvalidOperationException($"KVM left with {_run->exit_reason}, suberror {_run->@internal.suberror}");
        }
    }

    /// <summary>From the encoding's order to that of kvm_regs: rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp.</summary>
    private static int Place(int i) => i switch { 1 => 2, 2 => 3, 3 => 1, 4 => 6, 5 => 7, 6 => 4, 7 => 5, _ => i };

    private void SetSystem()
    {
        kvm_sregs s = default;
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_GET_SREGS, &s), "KVM_GET_SREGS");
        s.cs = Segment(GuestLayout.UserCode, 0xb, 3);
        s.cs.l = 1;
        s.ss = s.ds = s.es = s.fs = s.gs = Segment(GuestLayout.UserData, 3, 3);
        s.ss.db = s.ds.db = s.es.db = s.fs.db = s.gs.db = 1;
        s.tr = Segment(GuestLayout.TaskSelector, 0xb, 0);
        s.tr.@base = GuestLayout.TssAddress;
        s.tr.limit = 0x67;
        s.tr.s = 0;
        s.tr.g = 0;
        s.gdt.@base = GuestLayout.GdtAddress;
        s.gdt.limit = 0x37;
        s.idt.@base = GuestLayout.IdtAddress;
        s.idt.limit = 0x1ff;
        s.cr0 = 0x8001_0033;
        s.cr3 = GuestLayout.TablesAddress;
        s.cr4 = 0x40620;
        s.efer = 0x500;
        _user = s;
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_SREGS, &s), "KVM_SET_SREGS");
    }

    private static kvm_segment Segment(ushort selector, byte type, byte dpl) =>
        new() { limit = uint.MaxValue, selector = selector, type = type, present = 1, dpl = dpl, s = 1, g = 1 };

    private void SetCpuid()
    {
        int bytes = sizeof(kvm_cpuid2) + (256 * sizeof(kvm_cpuid_entry2));
        kvm_cpuid2* table = (kvm_cpuid2*)NativeMemory.AllocZeroed((nuint)bytes);
        table->nent = 256;
        Check(Libc.ioctl(_kvm.Value, KvmRequest.KVM_GET_SUPPORTED_CPUID, table), "KVM_GET_SUPPORTED_CPUID");
        Check(Libc.ioctl(_vcpu.Value, KvmRequest.KVM_SET_CPUID2, table), "KVM_SET_CPUID2");
        NativeMemory.Free(table);
    }

    private static int Check(int result, string what) => result >= 0 ? result : throw new LinuxException(what, LinuxError.Last);

    public void Dispose()
    {
        _runPage.Dispose();
        _vcpu.Dispose();
        _vm.Dispose();
        _kvm.Dispose();
        NativeMemory.AlignedFree(_xsave);
        NativeMemory.AlignedFree(Ram);
    }
}

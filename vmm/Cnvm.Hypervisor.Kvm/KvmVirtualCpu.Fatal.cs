using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;
using Iced.Intel;

namespace Cnvm.Hypervisor.Kvm;

// Reports of what KVM cannot go on from.
internal sealed unsafe partial class KvmVirtualCpu
{
    private const int MaxInstructionBytes = 15;
    private const int InstructionsShown = 4;

    private string DescribeFatalExit()
    {
        string what = _run->exit_reason switch
        {
            KvmConstants.KVM_EXIT_INTERNAL_ERROR => DescribeInternalError(),
            KvmConstants.KVM_EXIT_FAIL_ENTRY => string.Create(
                CultureInfo.InvariantCulture,
                $"the CPU refused to enter the guest (KVM_EXIT_FAIL_ENTRY, hardware reason 0x{_run->fail_entry.hardware_entry_failure_reason:x}, host CPU {_run->fail_entry.cpu}): the guest state is not valid"),
            KvmConstants.KVM_EXIT_UNKNOWN => $"KVM does not know exit reason 0x{_run->hardware_exit_reason:x} of this CPU (KVM_EXIT_UNKNOWN)",
            KvmConstants.KVM_EXIT_SYSTEM_EVENT => $"the guest reported system event {_run->system_event.type} (KVM_EXIT_SYSTEM_EVENT)",
            uint other => $"KVM_RUN returned with exit reason {other}, which was never asked for",
        };
        return Report(what, FailedInstruction());
    }

    private string DescribeRefusedRun(int errno) => Report(
        KvmIoctl.Refused(nameof(KvmRequest.KVM_RUN), errno).Message
            + (errno == Errno.EFAULT ? ": guest memory has no page behind it (a file that is too short, or huge pages ran out)" : string.Empty),
        []);

    private string DescribeInternalError()
    {
        uint suberror = _run->@internal.suberror;
        string meaning = suberror switch
        {
            KvmConstants.KVM_INTERNAL_ERROR_EMULATION => "KVM had to emulate an instruction and cannot",
            KvmConstants.KVM_INTERNAL_ERROR_SIMUL_EX => "several exceptions at once",
            KvmConstants.KVM_INTERNAL_ERROR_DELIVERY_EV => "an exit in the middle of delivering an event",
            KvmConstants.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON => "an exit reason that KVM did not expect",
            _ => "a kind that this program does not know",
        };
        var text = new StringBuilder($"KVM internal error {suberror} (KVM_EXIT_INTERNAL_ERROR): {meaning}");
        if (suberror != KvmConstants.KVM_INTERNAL_ERROR_EMULATION)
        {
            for (int i = 0; i < Math.Min(_run->@internal.ndata, 16); i++)
            {
                text.Append(CultureInfo.InvariantCulture, $"\n  data[{i}] = 0x{_run->@internal.data[i]:x}");
            }
        }

        if (!KvmHypervisor.HostVirtualises())
        {
            text.Append("\n  ").Append(KvmHypervisor.NoVirtualisation("/dev/kvm"));
        }

        return text.ToString();
    }

    /// <summary>Bytes that KVM delivered with an emulation failure; empty if it did not.</summary>
    private ReadOnlySpan<byte> FailedInstruction()
    {
        ref kvm_run_emulation_failure failure = ref _run->emulation_failure;
        if (_run->exit_reason != KvmConstants.KVM_EXIT_INTERNAL_ERROR
            || failure.suberror != KvmConstants.KVM_INTERNAL_ERROR_EMULATION
            || failure.ndata < 3
            || (failure.flags & KvmConstants.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) == 0)
        {
            return [];
        }

        fixed (byte* bytes = failure.insn_bytes)
        {
            // SAFETY: the bytes lie in the mapped page, which outlives this call.
            return new ReadOnlySpan<byte>(bytes, Math.Min((int)failure.insn_size, MaxInstructionBytes));
        }
    }

    private string Report(string what, ReadOnlySpan<byte> instruction)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"vCPU {Index} cannot go on: {what}\n");
        kvm_regs r = default;
        kvm_sregs s = default;
        if (!TryRead(KvmRequest.KVM_GET_REGS, ref r) || !TryRead(KvmRequest.KVM_GET_SREGS, ref s))
        {
            return text.Append("  registers cannot be read\n").ToString();
        }

        AppendRegisters(text, r, s);
        AppendCode(text, r.rip, s, instruction);
        return text.ToString();
    }

    private bool TryRead<T>(uint request, ref T target)
        where T : unmanaged
    {
        // SAFETY: the struct mirrors what the request carries.
        fixed (T* p = &target)
        {
            return Libc.ioctl(_fd.Value, request, p) >= 0;
        }
    }

    private static void AppendRegisters(StringBuilder text, in kvm_regs r, in kvm_sregs s)
    {
        IFormatProvider c = CultureInfo.InvariantCulture;
        text.Append(c, $"  RAX={r.rax:x16} RBX={r.rbx:x16} RCX={r.rcx:x16} RDX={r.rdx:x16}\n");
        text.Append(c, $"  RSI={r.rsi:x16} RDI={r.rdi:x16} RBP={r.rbp:x16} RSP={r.rsp:x16}\n");
        text.Append(c, $"  R8 ={r.r8:x16} R9 ={r.r9:x16} R10={r.r10:x16} R11={r.r11:x16}\n");
        text.Append(c, $"  R12={r.r12:x16} R13={r.r13:x16} R14={r.r14:x16} R15={r.r15:x16}\n");
        text.Append(c, $"  RIP={r.rip:x16} RFLAGS={r.rflags:x8} CPL={s.ss.dpl}\n");
        text.Append(c, $"  CR0={s.cr0:x8} CR2={s.cr2:x16} CR3={s.cr3:x16} CR4={s.cr4:x8} EFER={s.efer:x}\n");
        AppendSegment(text, "CS", s.cs);
        AppendSegment(text, "SS", s.ss);
        AppendSegment(text, "DS", s.ds);
        AppendSegment(text, "ES", s.es);
        AppendSegment(text, "FS", s.fs);
        AppendSegment(text, "GS", s.gs);
        AppendSegment(text, "TR", s.tr);
        text.Append(c, $"  GDT={s.gdt.@base:x16}+{s.gdt.limit:x4} IDT={s.idt.@base:x16}+{s.idt.limit:x4} APIC base={s.apic_base:x}\n");
    }

    private static void AppendSegment(StringBuilder text, string name, in kvm_segment s) =>
        text.Append(
            CultureInfo.InvariantCulture,
            $"  {name}={s.selector:x4} base={s.@base:x16} limit={s.limit:x8} type={s.type:x} dpl={s.dpl} present={s.present} l={s.l} db={s.db} g={s.g}\n");

    private void AppendCode(StringBuilder text, ulong rip, in kvm_sregs s, ReadOnlySpan<byte> instruction)
    {
        int bitness = s.cs.l != 0 && (s.efer & (1 << 10)) != 0 ? 64 : s.cs.db != 0 ? 32 : 16;
        ulong linear = bitness == 64 ? rip : s.cs.@base + rip;
        ReadOnlySpan<byte> code = ReadCode(linear, InstructionsShown * MaxInstructionBytes);
        if (code.IsEmpty)
        {
            code = instruction;
        }

        text.Append("  bytes at RIP:");
        if (code.IsEmpty)
        {
            text.Append(" not in guest RAM\n");
            return;
        }

        foreach (byte b in code[..Math.Min(code.Length, MaxInstructionBytes + 1)])
        {
            text.Append(CultureInfo.InvariantCulture, $" {b:x2}");
        }

        text.Append('\n');
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(bitness, code.ToArray());
        decoder.IP = rip;
        var formatter = new FastFormatter();
        var line = new FastStringOutput();
        for (int i = 0; i < InstructionsShown && decoder.IP - rip < (ulong)code.Length; i++)
        {
            decoder.Decode(out Instruction decoded);
            if (decoded.IsInvalid && i > 0)
            {
                break;
            }

            line.Clear();
            formatter.Format(decoded, line);
            text.Append(CultureInfo.InvariantCulture, $"  {(i == 0 ? "=>" : "  ")} {decoded.IP:x16}  {line}\n");
        }
    }

    /// <summary>Code bytes through the guest's page tables, as far as they lie in one page; empty if unmapped.</summary>
    private ReadOnlySpan<byte> ReadCode(ulong linear, int length)
    {
        var translation = new kvm_translation { linear_address = linear };
        if (!TryRead(KvmRequest.KVM_TRANSLATE, ref translation) || translation.valid == 0)
        {
            return [];
        }

        int inPage = (int)(0x1000 - (translation.physical_address & 0xfff));
        return _partition.PeekRam(translation.physical_address, Math.Min(length, inPage));
    }
}

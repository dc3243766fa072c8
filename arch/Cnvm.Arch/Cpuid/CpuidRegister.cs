namespace Cnvm.Arch.Cpuid;

/// <summary>One of the four registers that CPUID answers in.</summary>
public enum CpuidRegister
{
    Eax,
    Ebx,
    Ecx,
    Edx,
}

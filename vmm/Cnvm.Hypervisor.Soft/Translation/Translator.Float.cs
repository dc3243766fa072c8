namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Vector and x87 instructions.</summary>
internal sealed unsafe partial class Translator
{
    private bool EmitFloat() => _i.Length == 0;
}

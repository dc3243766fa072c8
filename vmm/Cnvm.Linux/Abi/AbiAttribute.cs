namespace Cnvm.Linux.Abi;

/// <summary>
/// Says which C declaration a struct, or which headers a class of constants, mirrors. A test compiles C against the system's
/// headers and compares every size, offset and value of what carries this attribute, and refuses ABI types that lack it.
/// </summary>
/// <remarks>
/// On a struct: size, and offset and size of every field; a field's C name is its own unless <see cref="AbiFieldAttribute"/>
/// says otherwise. On every type: the value of each constant that is spelled in capitals, as C macros and enumerators are.
/// </remarks>
/// <param name="header">Header as in <c>#include</c>; several are separated by a space.</param>
/// <param name="type">The C type, for example <c>struct kvm_regs</c>; null where only constants are mirrored.</param>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Class, AllowMultiple = true)]
internal sealed class AbiAttribute(string header, string? type = null) : Attribute
{
    public string Header { get; } = header;

    public string? Type { get; } = type;

    /// <summary>The C type ends in a flexible array, or the mirror leaves out its tail: sizes are not compared.</summary>
    public bool Prefix { get; init; }
}

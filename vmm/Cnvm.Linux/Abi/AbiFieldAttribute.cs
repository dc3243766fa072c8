namespace Cnvm.Linux.Abi;

/// <summary>The C name of a field or constant where it differs from the C# one (a keyword, a member of an anonymous union); empty: a part of the C field that has no name of its own.</summary>
[AttributeUsage(AttributeTargets.Field)]
internal sealed class AbiFieldAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

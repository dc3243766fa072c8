namespace Cnvm.Ttrpc;

/// <summary>
/// A property that is a field of its message. The type says the form: <c>string</c>, <c>bool</c>, <c>int</c> and enums (int32), <c>uint</c>,
/// <c>long</c>, <c>ulong</c>, <c>double</c>, <c>ReadOnlyMemory&lt;byte&gt;</c> (bytes), nullable numbers (optional), nullable messages,
/// <c>IReadOnlyList</c> of messages, strings or numbers (repeated), <c>IReadOnlyDictionary</c> with keys that are strings (map).
/// </summary>
/// <param name="number">The field's number, 1 to 536870911.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ProtoMemberAttribute(int number) : Attribute
{
    /// <summary>The field's number.</summary>
    public int Number { get; } = number;
}

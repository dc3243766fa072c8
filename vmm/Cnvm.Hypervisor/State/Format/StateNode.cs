using System.Collections.Immutable;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>An element for looking at: what <c>inspect</c> prints and comparisons go through. Needs no declarations.</summary>
/// <param name="Name">The element's name, or its position in a list.</param>
/// <param name="Value">A number as <see cref="ulong"/>, <see cref="long"/> or <see cref="bool"/>, a <see cref="string"/>, a
/// byte array or a array of <see cref="ulong"/>; null for a record or a list.</param>
/// <param name="Children">Elements of a record or items of a list; empty for values.</param>
public sealed record StateNode(string Name, ElementType Type, object? Value, ImmutableArray<StateNode> Children)
{
    /// <summary>Takes a whole state apart.</summary>
    /// <exception cref="StateFormatException">It is no state, damaged, or nested too deep.</exception>
    public static StateNode Parse(ReadOnlyMemory<byte> state) => Record("state", StateParser.Open(state), "state", 0);

    /// <summary>The child of this name; null if there is none.</summary>
    public StateNode? Child(string name)
    {
        foreach (StateNode child in Children)
        {
            if (child.Name == name)
            {
                return child;
            }
        }

        return null;
    }

    private static StateNode Record(string name, ReadOnlyMemory<byte> record, string path, int depth)
    {
        if (depth > StateFormat.MaxDepth)
        {
            throw new StateFormatException($"{path}: records are nested deeper than {StateFormat.MaxDepth}");
        }

        var children = ImmutableArray.CreateBuilder<StateNode>();
        foreach (StateElement element in StateParser.Elements(record, path))
        {
            children.Add(Node(element, $"{path}/{element.Name}", depth + 1));
        }

        return new StateNode(name, ElementType.Record, null, children.ToImmutable());
    }

    private static StateNode Node(StateElement element, string path, int depth) => element.Type switch
    {
        ElementType.Record => Record(element.Name, element.Payload, path, depth),
        ElementType.RecordList => new StateNode(
            element.Name,
            element.Type,
            null,
            [.. StateParser.Items(element.Payload, path).Select((item, i) => Record($"{i}", item, $"{path}[{i}]", depth))]),
        ElementType.Bool => Leaf(element, StateParser.Number(element, path) != 0),
        ElementType.I64 => Leaf(element, (long)StateParser.Number(element, path)),
        ElementType.U8 or ElementType.U16 or ElementType.U32 or ElementType.U64 => Leaf(element, StateParser.Number(element, path)),
        ElementType.Text => Leaf(element, StateParser.Text(element, path)),
        ElementType.U64List => Leaf(element, StateParser.Numbers(element, path)),
        // Bytes, and whatever a newer version may have.
        _ => Leaf(element, element.Payload.ToArray()),
    };

    private static StateNode Leaf(in StateElement element, object value) => new(element.Name, element.Type, value, []);
}

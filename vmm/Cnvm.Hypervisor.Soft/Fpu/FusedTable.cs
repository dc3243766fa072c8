using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>What a fused multiply-add does with its product and its addend.</summary>
internal enum FusedKind
{
    None,
    MultiplyAdd,
    MultiplySubtract,
    NegatedMultiplyAdd,
    NegatedMultiplySubtract,

    /// <summary>Even elements subtract, odd ones add.</summary>
    MultiplyAddSubtract,

    /// <summary>Even elements add, odd ones subtract.</summary>
    MultiplySubtractAdd,
}

/// <summary>The FMA instructions.</summary>
internal static class FusedTable
{
    /// <summary>Kind, and which operands are factor, factor and addend (0x132, 0x213, 0x231).</summary>
    public static (FusedKind Kind, int Order, bool IsDouble, bool IsScalar) Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Vfmadd132ps => (FusedKind.MultiplyAdd, 0x132, false, false),
            Mnemonic.Vfmadd132pd => (FusedKind.MultiplyAdd, 0x132, true, false),
            Mnemonic.Vfmadd132ss => (FusedKind.MultiplyAdd, 0x132, false, true),
            Mnemonic.Vfmadd132sd => (FusedKind.MultiplyAdd, 0x132, true, true),
            Mnemonic.Vfmadd213ps => (FusedKind.MultiplyAdd, 0x213, false, false),
            Mnemonic.Vfmadd213pd => (FusedKind.MultiplyAdd, 0x213, true, false),
            Mnemonic.Vfmadd213ss => (FusedKind.MultiplyAdd, 0x213, false, true),
            Mnemonic.Vfmadd213sd => (FusedKind.MultiplyAdd, 0x213, true, true),
            Mnemonic.Vfmadd231ps => (FusedKind.MultiplyAdd, 0x231, false, false),
            Mnemonic.Vfmadd231pd => (FusedKind.MultiplyAdd, 0x231, true, false),
            Mnemonic.Vfmadd231ss => (FusedKind.MultiplyAdd, 0x231, false, true),
            Mnemonic.Vfmadd231sd => (FusedKind.MultiplyAdd, 0x231, true, true),
            Mnemonic.Vfmsub132ps => (FusedKind.MultiplySubtract, 0x132, false, false),
            Mnemonic.Vfmsub132pd => (FusedKind.MultiplySubtract, 0x132, true, false),
            Mnemonic.Vfmsub132ss => (FusedKind.MultiplySubtract, 0x132, false, true),
            Mnemonic.Vfmsub132sd => (FusedKind.MultiplySubtract, 0x132, true, true),
            Mnemonic.Vfmsub213ps => (FusedKind.MultiplySubtract, 0x213, false, false),
            Mnemonic.Vfmsub213pd => (FusedKind.MultiplySubtract, 0x213, true, false),
            Mnemonic.Vfmsub213ss => (FusedKind.MultiplySubtract, 0x213, false, true),
            Mnemonic.Vfmsub213sd => (FusedKind.MultiplySubtract, 0x213, true, true),
            Mnemonic.Vfmsub231ps => (FusedKind.MultiplySubtract, 0x231, false, false),
            Mnemonic.Vfmsub231pd => (FusedKind.MultiplySubtract, 0x231, true, false),
            Mnemonic.Vfmsub231ss => (FusedKind.MultiplySubtract, 0x231, false, true),
            Mnemonic.Vfmsub231sd => (FusedKind.MultiplySubtract, 0x231, true, true),
            Mnemonic.Vfnmadd132ps => (FusedKind.NegatedMultiplyAdd, 0x132, false, false),
            Mnemonic.Vfnmadd132pd => (FusedKind.NegatedMultiplyAdd, 0x132, true, false),
            Mnemonic.Vfnmadd132ss => (FusedKind.NegatedMultiplyAdd, 0x132, false, true),
            Mnemonic.Vfnmadd132sd => (FusedKind.NegatedMultiplyAdd, 0x132, true, true),
            Mnemonic.Vfnmadd213ps => (FusedKind.NegatedMultiplyAdd, 0x213, false, false),
            Mnemonic.Vfnmadd213pd => (FusedKind.NegatedMultiplyAdd, 0x213, true, false),
            Mnemonic.Vfnmadd213ss => (FusedKind.NegatedMultiplyAdd, 0x213, false, true),
            Mnemonic.Vfnmadd213sd => (FusedKind.NegatedMultiplyAdd, 0x213, true, true),
            Mnemonic.Vfnmadd231ps => (FusedKind.NegatedMultiplyAdd, 0x231, false, false),
            Mnemonic.Vfnmadd231pd => (FusedKind.NegatedMultiplyAdd, 0x231, true, false),
            Mnemonic.Vfnmadd231ss => (FusedKind.NegatedMultiplyAdd, 0x231, false, true),
            Mnemonic.Vfnmadd231sd => (FusedKind.NegatedMultiplyAdd, 0x231, true, true),
            Mnemonic.Vfnmsub132ps => (FusedKind.NegatedMultiplySubtract, 0x132, false, false),
            Mnemonic.Vfnmsub132pd => (FusedKind.NegatedMultiplySubtract, 0x132, true, false),
            Mnemonic.Vfnmsub132ss => (FusedKind.NegatedMultiplySubtract, 0x132, false, true),
            Mnemonic.Vfnmsub132sd => (FusedKind.NegatedMultiplySubtract, 0x132, true, true),
            Mnemonic.Vfnmsub213ps => (FusedKind.NegatedMultiplySubtract, 0x213, false, false),
            Mnemonic.Vfnmsub213pd => (FusedKind.NegatedMultiplySubtract, 0x213, true, false),
            Mnemonic.Vfnmsub213ss => (FusedKind.NegatedMultiplySubtract, 0x213, false, true),
            Mnemonic.Vfnmsub213sd => (FusedKind.NegatedMultiplySubtract, 0x213, true, true),
            Mnemonic.Vfnmsub231ps => (FusedKind.NegatedMultiplySubtract, 0x231, false, false),
            Mnemonic.Vfnmsub231pd => (FusedKind.NegatedMultiplySubtract, 0x231, true, false),
            Mnemonic.Vfnmsub231ss => (FusedKind.NegatedMultiplySubtract, 0x231, false, true),
            Mnemonic.Vfnmsub231sd => (FusedKind.NegatedMultiplySubtract, 0x231, true, true),
            Mnemonic.Vfmaddsub132ps => (FusedKind.MultiplyAddSubtract, 0x132, false, false),
            Mnemonic.Vfmaddsub132pd => (FusedKind.MultiplyAddSubtract, 0x132, true, false),
            Mnemonic.Vfmaddsub213ps => (FusedKind.MultiplyAddSubtract, 0x213, false, false),
            Mnemonic.Vfmaddsub213pd => (FusedKind.MultiplyAddSubtract, 0x213, true, false),
            Mnemonic.Vfmaddsub231ps => (FusedKind.MultiplyAddSubtract, 0x231, false, false),
            Mnemonic.Vfmaddsub231pd => (FusedKind.MultiplyAddSubtract, 0x231, true, false),
            Mnemonic.Vfmsubadd132ps => (FusedKind.MultiplySubtractAdd, 0x132, false, false),
            Mnemonic.Vfmsubadd132pd => (FusedKind.MultiplySubtractAdd, 0x132, true, false),
            Mnemonic.Vfmsubadd213ps => (FusedKind.MultiplySubtractAdd, 0x213, false, false),
            Mnemonic.Vfmsubadd213pd => (FusedKind.MultiplySubtractAdd, 0x213, true, false),
            Mnemonic.Vfmsubadd231ps => (FusedKind.MultiplySubtractAdd, 0x231, false, false),
            Mnemonic.Vfmsubadd231pd => (FusedKind.MultiplySubtractAdd, 0x231, true, false),
            _ => default,
        };
}
